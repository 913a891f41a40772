//! `start`, `stop` and `restart` of one part.

use std::path::Path;

use anyhow::Result;
use stack::{Programs, daemon::Started, install, process::Signal};

use super::{down::stop_part, up::binary_of, wanted};
use crate::{
    cli::Start,
    local::{Home, Part, Stack, without_password},
};

pub(crate) fn start(home: &Home, arguments: &Start) -> Result<()> {
    let _lock = home.lock()?;
    start_locked(home, arguments)
}

pub(crate) fn stop(home: &Home, part: Part) -> Result<()> {
    let _lock = home.lock()?;
    let Some(stack) = Stack::open(home)? else {
        return Ok(());
    };
    stack.ensure_has(part)?;
    stop_part(&stack, part)
}

pub(crate) fn restart(home: &Home, arguments: &Start) -> Result<()> {
    let _lock = home.lock()?;
    if let Some(stack) = Stack::open(home)? {
        stack.ensure_has(arguments.name)?;
        stop_part(&stack, arguments.name)?;
    }
    start_locked(home, arguments)
}

fn start_locked(home: &Home, arguments: &Start) -> Result<()> {
    let part = arguments.name;
    let mut stack = Stack::open_or_create(home)?;
    stack.ensure_has(part)?;
    if part == Part::Gateway {
        stack.gateway()?.clear_remains()?;
    }
    if !stack.is_running(part) {
        stack.check_ports_free(part)?;
    }
    let programs = prepare_servers(&stack, part)?;
    if part == Part::Gateway {
        stack.start_gateway(&programs)?;
        stack.wait_for_gateway()?;
    } else if part.is_server() {
        start_server(&stack, part)?;
    } else {
        start_service(&mut stack, part, arguments.release)?;
    }
    eprintln!("{part} is up: {}", without_password(&stack.url(part).unwrap_or_default()));
    Ok(())
}

/// A service needs the addresses of all servers. They are known as soon as the servers have their data.
fn prepare_servers(stack: &Stack, part: Part) -> Result<Programs> {
    let programs = install::find_or_install(install::Permission::Never, wanted(part == Part::Gateway))?;
    stack.shape().servers().into_iter().try_for_each(|server| stack.prepare_server(server, &programs))?;
    Ok(programs)
}

fn start_server(stack: &Stack, part: Part) -> Result<()> {
    stack.start_server(part)?;
    // It may have been down when its service was started; then nothing has migrated it yet.
    match part.migrated_by().and_then(|service| Some((service, stack.record.services.get(&service)?))) {
        Some((service, record)) if record.binary.is_file() => stack.migrate(service, &record.binary),
        _ => Ok(()),
    }
}

fn start_service(stack: &mut Stack, service: Part, release: bool) -> Result<()> {
    let needed_are_up = stack.shape().needs(service).iter().all(|part| stack.is_running(*part));
    let running = stack.service_process(service);
    let started = match running {
        Some(process) => {
            process.signal(Signal::CONT)?;
            Started::attach(process, &stack.log(service))
        }
        None => {
            let binaries = stack::build::services_of(&stack.home.checkout, release)?;
            let binary = binary_of(&binaries, service);
            migrate_if_up(stack, service, &binary)?;
            stack.spawn_service(service, &binary)?
        }
    };
    stack.wait_for_service(service, &started, needed_are_up)
}

fn migrate_if_up(stack: &Stack, service: Part, binary: &Path) -> Result<()> {
    let Some(database) = service.migrates() else {
        return Ok(());
    };
    if stack.is_running(database) {
        return stack.migrate(service, binary);
    }
    eprintln!("{database} does not run: its migrations follow when it is started");
    Ok(())
}
