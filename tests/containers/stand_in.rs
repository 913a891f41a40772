//! kill -9 of command-service while clients write and read through the gateway.

use std::{
    slice,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use stack::{Part, Port, files, process::Signal, wait};
use system_tests::{
    Client, Reply,
    engine::{Project, profile::SCALED, project::HEALTHY_AGAIN},
    eventually,
    load::{Asked, Entry, Fate, History, Load, MIXED},
    random::seed,
};
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    kills::kill_and_wait,
    profile::{answered, healthy},
};

const CLIENTS: usize = 3;
const COMMANDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// How often the watcher writes and reads.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// How soon both replicas have everything.
const LEVEL_LIMIT: Duration = Duration::from_secs(30);

/// How soon the gateway tries a process again that was dead: its memory of a failure is 3 s.
const FOUND_AGAIN: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(50);

/// Twice: once it comes back by itself, and once it stays dead until everything that was acknowledged is in both
/// replicas. Only the other command process and the relay can have brought it there.
pub(crate) fn the_second_command_process_and_the_relay_stand_in_for_a_killed_command_service(
    project: &mut Project,
) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let before = project.everything().await?.events.len();
        let gateway = Client::new(project.address_at(Port::Gateway));
        let load = Load::start_paced(slice::from_ref(&gateway), CLIENTS, MIXED, seed(), PAUSE);
        let watcher = Watcher::start(gateway.clone());
        load.progress(COMMANDS).await?;

        let began = Instant::now();
        let took = kill_and_wait(project, Part::CommandService)?;
        healthy(project, HEALTHY_AGAIN.saturating_sub(began.elapsed()))?;
        println!("command-service is healthy {:.1} s after kill -9", took.as_secs_f64());
        load.progress(COMMANDS).await?;
        found_again(project, &gateway).await?;

        let container = kill_for_good(project)?;
        load.progress(COMMANDS).await?;
        let mut history = load.finish().await?;
        check_answers(&history)?;
        history.entries.extend(watcher.finish().await?);
        for replica in SCALED.replicas() {
            level(project, replica, before, &history).await?;
        }
        ensure!(!is_running(project)?, "command-service runs again");

        project.engine.run(&["update", "--restart", "always", &container])?;
        project.engine.run(&["start", &container])?;
        healthy(project, HEALTHY_AGAIN)?;
        found_again(project, &gateway).await
    })
}

/// kill -9 of command-service, without a start after it; its container.
fn kill_for_good(project: &Project) -> Result<String> {
    let service = Part::CommandService.name();
    let container = project.inspect(&service)?["Id"].as_str().context("no id")?.to_owned();
    project.engine.run(&["update", "--restart", "no", &container])?;
    ensure!(project.main_process(&service)?.signal(Signal::KILL)?, "it had ended before it was killed");
    let ended = wait::until(HEALTHY_AGAIN, POLL, || Ok((!is_running(project)?).then_some(())))?;
    ended.context("command-service goes on")?;
    Ok(container)
}

fn is_running(project: &Project) -> Result<bool> {
    Ok(project.inspect(&Part::CommandService.name())?["State"]["Running"] == true)
}

/// Waits until the gateway sends commands to command-service again.
async fn found_again(project: &Project, gateway: &Client) -> Result<()> {
    eventually(FOUND_AGAIN, "the gateway sends commands to command-service", async || {
        let id = files::random_hex(8)?;
        // The log does not grow by it: nothing is created without a name.
        let refused =
            gateway.call_with(Method::POST, "/parking-slots", &[("X-Request-Id", id.as_str())]).await?;
        ensure!(refused.status.is_client_error(), "{}", refused.text);
        ensure!(answered(project, &Part::CommandService.name(), &[id])?, "another process was asked");
        Ok(())
    })
    .await
}

/// Nothing but what the contract names: a slot that is gone, and a 503 while a process is dead.
fn check_answers(history: &History) -> Result<()> {
    for entry in &history.entries {
        let named = match &entry.fate {
            Fate::Done(_) => true,
            Fate::Refused { status } => [404, 503].contains(status),
            Fate::Unknown(why) => why == "outcome-unknown",
            Fate::NotAsked => false,
        };
        ensure!(named, "the contract does not name this: {entry:?}");
    }
    Ok(())
}

/// The replica agrees with the primary, and the log has exactly what the clients were told.
async fn level(project: &Project, replica: Part, before: usize, history: &History) -> Result<()> {
    eventually(LEVEL_LIMIT, &format!("{replica} is level with the primary"), async || {
        let everything = project.everything_with(replica).await?;
        everything.check()?;
        history.check(everything.events.get(before..).context("the log has become shorter")?)
    })
    .await
}

/// A client that looks at each answer.
struct Watcher {
    stop: CancellationToken,
    task: JoinHandle<Result<Vec<Entry>>>,
}

impl Watcher {
    fn start(gateway: Client) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(gateway, stop.clone()));
        Self { stop, task }
    }

    async fn finish(self) -> Result<Vec<Entry>> {
        self.stop.cancel();
        self.task.await.context("the watcher panicked")?
    }
}

/// Creates, reads with the receipt, and lists, until it is stopped; what became of its creates.
async fn watch(gateway: Client, stop: CancellationToken) -> Result<Vec<Entry>> {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut entries = Vec::new();
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let name = format!("watched {}", entries.len());
        let created = gateway.create(&name).await?;
        if let Some(receipt) = created.header("Write-Receipt") {
            let read = gateway.list(&format!("?limit=1&receipt={receipt}")).await?;
            // No event is published until the other relay leads.
            let late = read.status == StatusCode::GATEWAY_TIMEOUT && read.problem() == "replica-behind";
            ensure!(late || read.status == StatusCode::OK, "a read with a receipt: {}", read.text);
        }
        gateway.list("?limit=10").await?.expect(200)?;
        let asked = Asked::Create { name, status: "available" };
        entries.push(Entry { asked, fate: fate(created)? });
    }
    ensure!(entries.iter().any(|entry| matches!(entry.fate, Fate::Done(_))), "nothing was created");
    Ok(entries)
}

fn fate(created: Reply) -> Result<Fate> {
    if created.status == StatusCode::CREATED {
        return Ok(Fate::Done(Some(Box::new(created.slot(201)?))));
    }
    ensure!(created.header("Retry-After").is_some(), "an answer without Retry-After: {}", created.text);
    match (created.status.as_u16(), created.problem()) {
        (503, "outcome-unknown") => Ok(Fate::Unknown("outcome-unknown".to_owned())),
        (503, "primary-unavailable" | "overloaded") => Ok(Fate::Refused { status: 503 }),
        _ => bail!("the contract does not name this answer: {}", created.text),
    }
}
