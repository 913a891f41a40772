//! Steps that stop and start event-consumer, and that look at the whole stack.

use anyhow::{Result, ensure};

use super::{
    super::{guide::Guide, line::Line, traces::runs_release},
    commands::create_slot,
};
use crate::local::Part;

pub(super) fn stop(guide: &mut Guide) -> Result<()> {
    // Noted first: a stop that fails may have stopped it all the same.
    guide.consumer_is_stopped = true;
    guide.run(&Line::stack(["stop", Part::EventConsumer.name()]))?;
    create_slot(guide, "three")?;
    guide.list_now(&[("one", "available", 4), ("two", "available", 1)])?;
    guide.run_until(&Line::stack(["status"]), |status| {
        let stopped = |line: &str| line.starts_with(Part::EventConsumer.name()) && line.contains(" stopped ");
        ensure!(status.lines().any(stopped), "event-consumer should be stopped");
        let sentence = status.lines().last().unwrap_or_default();
        ensure!(
            sentence.contains("waiting at the broker"),
            "a message should wait at the broker: {sentence}"
        );
        Ok(())
    })
}

pub(super) fn start(guide: &mut Guide) -> Result<()> {
    let line = Line::stack(["start", Part::EventConsumer.name()]);
    guide.run(&if runs_release(guide.stack) { line.and("--release") } else { line })?;
    guide.consumer_is_stopped = false;
    guide.list_until(&[("one", "available", 4), ("two", "available", 1), ("three", "available", 1)])
}

pub(super) fn status(guide: &mut Guide) -> Result<()> {
    let status = guide.run(&Line::stack(["status"]))?;
    for part in Part::ALL {
        let runs = |line: &str| line.starts_with(part.name()) && line.contains(" running ");
        ensure!(status.lines().any(runs), "{part} should be running");
    }
    let sentence = status.lines().last().unwrap_or_default();
    ensure!(sentence.starts_with("replica main: "), "it should end by saying how far the replica is");
    Ok(())
}
