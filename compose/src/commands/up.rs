//! `up`: everything, until all parts are up.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use stack::{Programs, build::Binaries, daemon::Started, install};

use super::{
    down::{stop_everything, stop_part},
    permission, wanted,
};
use crate::{
    cli::Up,
    local::{Home, Interrupts, Part, Record, Stack, further_ports, without_password},
};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn up(home: &Home, arguments: &Up) -> Result<ExitCode> {
    let has_gateway = Stack::open(home)?.is_some_and(|stack| stack.shape().gateway);
    let wanted = wanted(arguments.shape.gateway || has_gateway);
    let programs = install::find_or_install(permission(arguments.no_install), wanted)?;
    let interrupts = Interrupts::watch(home.clone())?;
    let lock = home.lock()?;
    let mut stack = Stack::open_or_create(home)?;
    let (before, former) = (stack.running(), stack.record.clone());
    if let Err(error) = bring_up(&mut stack, arguments, &programs, &before, &interrupts) {
        undo(&mut stack, &before, former, &programs)?;
        return Err(if interrupts.requested() { anyhow!("interrupted") } else { error });
    }
    drop(lock);
    print_addresses(&stack, arguments.show_passwords)?;
    if arguments.detach || !before.is_empty() {
        eprintln!("it runs in the background; `cargo stack down` stops it");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("Ctrl-C stops everything");
    hold(home, &interrupts)
}

fn bring_up(
    stack: &mut Stack,
    arguments: &Up,
    programs: &Programs,
    before: &[Part],
    interrupts: &Interrupts,
) -> Result<()> {
    choose(stack, arguments, before)?;
    let shape = stack.shape();
    if shape.gateway {
        stack.gateway()?.clear_remains()?;
    }
    let missing = |part: &Part| !before.contains(part);
    shape.parts().into_iter().filter(missing).try_for_each(|part| stack.check_ports_free(part))?;
    stack.save()?;
    let servers: Vec<Part> = shape.servers().into_iter().filter(missing).collect();
    announce("starting", &servers);
    let binaries = build_beside_servers(stack, &servers, programs, arguments.release)?;
    interrupts.check()?;
    start_services(stack, &binaries, interrupts)?;
    if shape.gateway {
        let gateway: Vec<Part> = [Part::Gateway].into_iter().filter(missing).collect();
        announce("starting", &gateway);
        stack.start_gateway(programs)?;
        stack.wait_for_gateway()?;
    }
    Ok(())
}

/// Notes the shape and the ports to use from now on, and says which of them are remembered.
fn choose(stack: &mut Stack, arguments: &Up, before: &[Part]) -> Result<()> {
    let runs = |part: Part| before.contains(&part);
    let record = &mut stack.record;
    record.shape = arguments.shape.choose(record.shape, runs)?;
    record.ports = record.ports.choose(&arguments.ports, record.shape, runs)?;
    record.further_ports = further_ports(record.shape, &record.further_ports, before.is_empty())?;
    let remembered = [
        ("shape", arguments.shape.remembered(record.shape)),
        ("ports", record.ports.remembered(&arguments.ports)),
    ];
    for (what, flags) in remembered.iter().filter(|(_, flags)| before.is_empty() && !flags.is_empty()) {
        eprintln!("{what} as at the last start: {}", flags.join(" "));
    }
    Ok(())
}

/// After a start that failed: stops what was started and puts shape and ports back. Then `status` says what it said before.
fn undo(stack: &mut Stack, before: &[Part], former: Record, programs: &Programs) -> Result<()> {
    let started: Vec<Part> = stack.running().into_iter().filter(|part| !before.contains(part)).collect();
    announce("stopping", &started);
    if before.is_empty() {
        stop_everything(stack)?;
    } else {
        // Services are listed after the servers that they need.
        started.iter().rev().try_for_each(|part| stop_part(stack, *part))?;
    }
    let Record { ports, shape, further_ports, .. } = former;
    // The services that were started stay on record: `exec` runs their programs.
    stack.record = Record { ports, shape, further_ports, ..stack.record.clone() };
    stack.save()?;
    if before.contains(&Part::Gateway) {
        stack.start_gateway(programs)?;
    }
    shape.servers().into_iter().try_for_each(|server| stack.update_server(server, programs))
}

/// Starts the servers and builds the services at the same time: servers mostly wait while they start.
fn build_beside_servers(
    stack: &Stack,
    servers: &[Part],
    programs: &Programs,
    release: bool,
) -> Result<Binaries> {
    thread::scope(|scope| {
        let start = |part: Part| {
            stack.prepare_server(part, programs)?;
            stack.start_server(part).with_context(|| format!("cannot start {part}"))
        };
        let starts: Vec<_> = servers.iter().map(|part| scope.spawn(move || start(*part))).collect();
        let binaries = stack::build::services_of(&stack.home.checkout, release);
        for start in starts {
            start.join().map_err(|_| anyhow!("a start panicked"))??;
        }
        binaries
    })
}

/// Starts the services, or those whose program changed, and waits until all are ready.
fn start_services(stack: &mut Stack, binaries: &Binaries, interrupts: &Interrupts) -> Result<()> {
    let mut started = Vec::new();
    for service in stack.shape().services() {
        interrupts.check()?;
        let binary = binary_of(binaries, service);
        started.push((service, start_unless_current(stack, service, &binary)?));
    }
    // All are started before the first is waited for, so that they start side by side.
    for (service, started) in &started {
        interrupts.check()?;
        stack.wait_for_service(*service, started, true)?;
    }
    Ok(())
}

fn start_unless_current(stack: &mut Stack, service: Part, binary: &Path) -> Result<Started> {
    if let Some(process) = stack.service_process(service).filter(|_| stack.runs_binary(service, binary)) {
        return Ok(Started::attach(process, &stack.log(service)));
    }
    announce("starting", &[service]);
    stack.stop_service(service)?;
    if service.migrates().is_some() {
        stack.migrate(service, binary)?;
    }
    stack.spawn_service(service, binary)
}

pub(super) fn binary_of(binaries: &Binaries, service: Part) -> PathBuf {
    match service {
        Part::EventConsumer(_) => binaries.event_consumer.clone(),
        _ => binaries.command_service.clone(),
    }
}

fn announce(what: &str, parts: &[Part]) {
    if !parts.is_empty() {
        eprintln!("{what} {}", parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "));
    }
}

/// Waits for a request to stop, or until another `cargo stack` has stopped everything.
fn hold(home: &Home, interrupts: &Interrupts) -> Result<ExitCode> {
    loop {
        if interrupts.wait(WATCH_INTERVAL) {
            let _lock = home.lock()?;
            if let Some(stack) = Stack::open(home)? {
                stop_everything(&stack)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if Stack::open(home)?.is_none_or(|stack| stack.running().is_empty()) {
            eprintln!("everything was stopped");
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn print_addresses(stack: &Stack, show_passwords: bool) -> Result<()> {
    let shown = |url: String| if show_passwords { url } else { without_password(&url) };
    for part in stack.shape().parts() {
        let url = stack.url(part).with_context(|| format!("there is no {part}"))?;
        println!("{part:16} {}", shown(url));
        if part == Part::RabbitMq {
            println!("{:16} {}", "  management", shown(stack.rabbitmq()?.management_url()));
        }
    }
    if !show_passwords {
        println!("(with passwords: `cargo stack status --show-passwords`)");
    }
    println!();
    println!("Try:");
    println!(
        "  curl -i {}/parking-slots -H 'Content-Type: application/json' -d '{{\"name\":\"Slot 1\"}}'",
        stack.commands_url()
    );
    println!("  curl {}/parking-slots", stack.reads_url());
    println!("  cargo stack psql replica -c 'SELECT * FROM parking_slots'");
    Ok(())
}
