//! Clears up after the tour, however it ended.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use stack::http::{Request, call};

use super::super::control;
use crate::{
    cli::Start,
    local::{Home, Part, Stack},
};

/// Longer than a command of command-service may take.
const DELETE_LIMIT: Duration = Duration::from_secs(12);

/// Starts event-consumer again if the tour had stopped it, and deletes every slot of the tour.
pub(super) fn clear(home: &Home, stack: &Stack, label: &str, consumer_is_stopped: bool) -> Result<()> {
    let started = if consumer_is_stopped { start_consumer(home, stack) } else { Ok(()) };
    let deleted = delete_slots(stack, label)
        .with_context(|| format!("slots of the tour may be left: those whose names begin with `{label}`"));
    started.and(deleted)
}

fn start_consumer(home: &Home, stack: &Stack) -> Result<()> {
    let release = runs_release(stack);
    control::start(home, &Start { name: Part::EVENT_CONSUMER, release })
        .context("event-consumer is left stopped")
}

/// Whether event-consumer was started with `--release`, which its next start needs too.
pub(super) fn runs_release(stack: &Stack) -> bool {
    let record = stack.record.services.get(&Part::EVENT_CONSUMER);
    record
        .is_some_and(|record| record.binary.parent().is_some_and(|directory| directory.ends_with("release")))
}

/// The primary says which slots they are. It also knows one whose answer was lost.
fn delete_slots(stack: &Stack, label: &str) -> Result<()> {
    let (role, database) = Stack::owner(Part::Primary);
    let left = format!("SELECT uuid FROM parking_slots WHERE name LIKE '{label} %'");
    let left = stack.postgres(Part::Primary)?.execute_as(role, database, &left)?;
    for uuid in left.lines() {
        let url = format!("{}/parking-slots/{uuid}", stack.http_url(Part::CommandService));
        let request = Request { method: "DELETE", url: &url, ..Request::default() };
        let answer = call(request, DELETE_LIMIT)?;
        ensure!(matches!(answer.status, 204 | 404), "{}: {}", answer.status, answer.body);
    }
    Ok(())
}
