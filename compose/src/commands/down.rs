//! `down`: everything stops, each part before those that it needs.

use std::{fs, thread};

use anyhow::{Result, anyhow};
use stack::{Account, Gateway, Postgres, RabbitMq, process};

use crate::local::{Home, KILL_LIMIT, Part, Stack};

pub(crate) fn down(home: &Home, wipe: bool) -> Result<()> {
    if !home.exists() {
        return clear_lost_servers(home, wipe);
    }
    let _lock = home.lock()?;
    let Some(stack) = Stack::open(home)? else {
        return clear_lost_servers(home, wipe);
    };
    let running = stack.running();
    stop_everything(&stack)?;
    if !running.is_empty() {
        eprintln!("stopped {}", running.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "));
    }
    if wipe {
        home.wipe(&stack.record.servers)?;
        eprintln!("removed {} and {}", home.directory.display(), stack.record.servers.display());
    }
    Ok(())
}

pub(crate) fn stop_part(stack: &Stack, part: Part) -> Result<()> {
    match part {
        Part::Gateway => stack.gateway()?.stop(),
        service if service.is_service() => stack.stop_service(service),
        server => stack.stop_server(server),
    }
}

/// Stops the gateway, the services, the broker, and then the databases. Kills what is left then: it has lost its files.
pub(crate) fn stop_everything(stack: &Stack) -> Result<()> {
    let shape = stack.shape();
    let at_once = |parts: Vec<Part>| {
        thread::scope(|scope| {
            let stops: Vec<_> =
                parts.into_iter().map(|part| scope.spawn(move || stop_part(stack, part))).collect();
            // Every stop is waited for before the first failure is reported.
            let stopped: Vec<Result<()>> = stops
                .into_iter()
                .map(|stop| stop.join().map_err(|_| anyhow!("a stop panicked")).flatten())
                .collect();
            stopped.into_iter().collect::<Result<()>>()
        })
    };
    let gateway = stop_part(stack, Part::Gateway);
    let services = at_once(shape.services());
    let broker = stop_part(stack, Part::RabbitMq);
    let databases = at_once(shape.databases());
    // All are stopped, as far as possible, before the first failure is reported.
    gateway.and(services).and(broker).and(databases).and(stack.kill_remains())
}

/// Without a record, after `git clean` for instance, servers may still run: those outside of the checkout with their
/// data, those inside without it.
fn clear_lost_servers(home: &Home, wipe: bool) -> Result<()> {
    let servers = home.servers_outside();
    if servers.is_dir() {
        Account::for_servers()?.check_private_directory(&servers)?;
        for entry in fs::read_dir(&servers)? {
            let entry = entry?;
            let (directory, name) = (entry.path(), entry.file_name());
            let Some(part) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match part {
                Part::Gateway => Gateway::at(&directory)?.stop()?,
                Part::RabbitMq if RabbitMq::exists(&directory) => RabbitMq::open(&directory)?.stop()?,
                Part::Primary | Part::Replica(_) if Postgres::exists(&directory) => {
                    Postgres::open(&directory)?.stop()?
                }
                _ => {}
            }
        }
    }
    let left = || [process::working_below(&home.directory), process::working_below(&servers)].concat();
    eprintln!(
        "{}",
        if left().is_empty() { "nothing to stop" } else { "killing what was left without its files" }
    );
    process::end_all(left, KILL_LIMIT)?;
    if wipe { home.wipe(&servers) } else { Ok(()) }
}
