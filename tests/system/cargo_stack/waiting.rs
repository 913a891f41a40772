//! The sentence of `status` says where events wait.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use stack::{Part, wait};
use system_tests::CargoStack;

/// The broker counts every 5 s.
const COUNTED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

fn sentence(stack: &CargoStack) -> Result<String> {
    let status = stack.run(&["status"])?;
    Ok(status.lines().last().context("nothing was printed")?.to_owned())
}

fn sentence_becomes(stack: &CargoStack, expected: &str) -> Result<()> {
    let mut last = String::new();
    let seen = wait::until(COUNTED, POLL, || {
        last = sentence(stack)?;
        Ok(last.contains(expected).then_some(()))
    })?;
    seen.with_context(|| format!("`{expected}` was expected: {last}"))
}

#[test]
fn status_says_how_many_wait_at_the_relay_and_how_many_at_the_broker() -> Result<()> {
    let stack = CargoStack::up()?;
    stack.run(&["stop", "event-consumer"])?;
    for name in ["Slot 1", "Slot 2"] {
        stack.run(&["exec", "command-service", "create-parking-slot", "--name", name])?;
        // So that each is a message of its own.
        stack.published()?;
        let at_once = sentence(&stack)?;
        ensure!(!at_once.contains("nothing waiting"), "an event waits: {at_once}");
    }

    sentence_becomes(&stack, "; 2 messages waiting at the broker; ")?;
    stack.run(&["start", "event-consumer"])?;
    stack.level()?;
    let level = sentence(&stack)?;
    stack.run(&["stop", "command-service"])?;
    stack.sql(Part::Primary, "UPDATE relay_cursor SET confirmed_position = confirmed_position - 1")?;
    let at_relay = sentence(&stack)?;

    assert_eq!(level, "replica main: 2 of 2, 0 ms behind; nothing waiting; no dead letters");
    ensure!(at_relay.contains("; 1 event waiting at the relay; "), "{at_relay}");
    Ok(())
}
