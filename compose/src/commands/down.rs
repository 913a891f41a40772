//! `down`: everything stops, each part before those that it needs.

use std::thread;

use anyhow::{Result, anyhow};
use stack::{Account, Postgres, RabbitMq, process};

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
    if Part::SERVICES.contains(&part) { stack.stop_service(part) } else { stack.stop_server(part) }
}

/// Stops the services, then the broker, then the databases. Kills what is left then: it has lost its files.
pub(crate) fn stop_everything(stack: &Stack) -> Result<()> {
    let both = |parts: [Part; 2], stop: &(dyn Fn(Part) -> Result<()> + Sync)| {
        thread::scope(|scope| {
            let stops = parts.map(|part| scope.spawn(move || stop(part)));
            stops.into_iter().try_for_each(|stop| stop.join().map_err(|_| anyhow!("a stop panicked"))?)
        })
    };
    let services = both(Part::SERVICES, &|part| stack.stop_service(part));
    let broker = stack.stop_server(Part::RabbitMq);
    let databases = both([Part::Primary, Part::Replica], &|part| stack.stop_server(part));
    // All are stopped, as far as possible, before the first failure is reported.
    services.and(broker).and(databases).and(stack.kill_remains())
}

/// Without a record, after `git clean` for instance, servers may still run: those outside of the checkout with their
/// data, those inside without it.
fn clear_lost_servers(home: &Home, wipe: bool) -> Result<()> {
    let servers = home.servers_outside();
    if servers.is_dir() {
        Account::for_servers()?.check_private_directory(&servers)?;
        for part in Part::SERVERS {
            let directory = servers.join(part.name());
            match part {
                Part::RabbitMq if RabbitMq::exists(&directory) => RabbitMq::open(&directory)?.stop()?,
                Part::Primary | Part::Replica if Postgres::exists(&directory) => {
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
