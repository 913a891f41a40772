//! `status`: what runs, where, and how far each replica is.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Result;
use serde::Serialize;

use crate::local::{Health, Home, Part, Progress, Side, Stack, without_password};

#[derive(Debug, Serialize)]
struct Status {
    services: Vec<PartStatus>,
    directory: PathBuf,
    summary: String,
}

#[derive(Debug, Serialize)]
struct PartStatus {
    name: Part,
    state: &'static str,
    ready: bool,
    pid: Option<i32>,
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_url: Option<String>,
    log: PathBuf,
    #[serde(flatten)]
    position: Option<Position>,
}

/// How far a consumer is; nothing while its replica cannot be asked.
#[derive(Debug, Serialize)]
struct Position {
    applied_through: Option<u64>,
    as_of: Option<String>,
}

pub(crate) fn status(home: &Home, json: bool, show_passwords: bool) -> Result<()> {
    let Some(stack) = Stack::open(home)? else {
        if json {
            println!("{}", serde_json::json!({ "services": [] }));
        } else {
            println!("nothing was started here yet: `cargo stack up`");
        }
        return Ok(());
    };
    let status = observe(&stack);
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&status)?)?;
    } else {
        write_table(&mut out, &status, show_passwords)?;
    }
    Ok(())
}

fn observe(stack: &Stack) -> Status {
    let progress: Vec<(Part, Progress)> =
        stack.shape().replicas().map(|replica| (replica, stack.progress(replica))).collect();
    let progress_of = |part: Part| {
        let own = progress.iter().find(|(replica, _)| replica.migrated_by() == Some(part));
        own.map(|(_, progress)| progress)
    };
    let parts = stack.shape().parts();
    let services = parts.into_iter().map(|part| part_status(stack, part, progress_of(part))).collect();
    let sentences: Vec<String> = progress.iter().map(|(_, progress)| progress.sentence()).collect();
    Status { services, directory: stack.record.servers.clone(), summary: sentences.join("\n") }
}

/// `progress` is that of the replica that this part maintains.
fn part_status(stack: &Stack, part: Part, progress: Option<&Progress>) -> PartStatus {
    let pid = stack.pid(part);
    PartStatus {
        name: part,
        state: if pid.is_some() { "running" } else { "stopped" },
        ready: pid.is_some() && is_ready(stack, part),
        pid,
        url: stack.url(part),
        management_url: (part == Part::RabbitMq)
            .then(|| Some(stack.rabbitmq().ok()?.management_url()))
            .flatten(),
        log: stack.log(part),
        position: progress.map(|progress| {
            let applied = if let Side::Here(applied) = &progress.applied { Some(applied) } else { None };
            Position {
                applied_through: applied.map(|applied| applied.applied_through),
                as_of: applied.and_then(|applied| applied.as_of.clone()),
            }
        }),
    }
}

fn is_ready(stack: &Stack, part: Part) -> bool {
    match part {
        Part::Primary | Part::Replica(_) => stack.postgres(part).is_ok_and(|server| server.is_ready()),
        Part::RabbitMq => stack.rabbitmq().is_ok_and(|broker| broker.is_ready()),
        Part::Gateway => stack.gateway_health() == Health::Ready,
        Part::CommandService | Part::Query(_) | Part::EventConsumer(_) => stack.health(part) == Health::Ready,
    }
}

fn write_table(out: &mut impl Write, status: &Status, show_passwords: bool) -> io::Result<()> {
    let shown = |url: &str| if show_passwords { url.to_owned() } else { without_password(url) };
    for part in &status.services {
        let state = match (part.state, part.ready) {
            ("running", false) => "not ready",
            (state, _) => state,
        };
        let pid = part.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let url = part.url.as_deref().map_or_else(|| "-".to_owned(), shown);
        writeln!(out, "{:16} {state:10} {pid:>8}  {url}", part.name)?;
        if let Some(url) = &part.management_url {
            writeln!(out, "{:16} {:10} {:>8}  {}", "  management", "", "", shown(url))?;
        }
    }
    writeln!(out, "data in {}", status.directory.display())?;
    writeln!(out, "{}", status.summary)
}
