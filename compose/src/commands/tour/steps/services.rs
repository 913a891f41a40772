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
    guide.run(&Line::stack(["stop", &Part::EVENT_CONSUMER.name()]))?;
    create_slot(guide, "three")?;
    guide.list_now(&[("one", "available", 4), ("two", "available", 1)])?;
    guide.run_until(&Line::stack(["status"]), |status| {
        let stopped = |line: &str| is_of(line, Part::EVENT_CONSUMER) && line.contains(" stopped ");
        ensure!(status.lines().any(stopped), "event-consumer should be stopped");
        let sentence = sentence_of_main(status);
        ensure!(
            sentence.contains("waiting at the broker"),
            "a message should wait at the broker: {sentence}"
        );
        Ok(())
    })
}

pub(super) fn start(guide: &mut Guide) -> Result<()> {
    let line = Line::stack(["start", &Part::EVENT_CONSUMER.name()]);
    guide.run(&if runs_release(guide.stack) { line.and("--release") } else { line })?;
    guide.consumer_is_stopped = false;
    guide.list_until(&[("one", "available", 4), ("two", "available", 1), ("three", "available", 1)])
}

pub(super) fn status(guide: &mut Guide) -> Result<()> {
    let status = guide.run(&Line::stack(["status"]))?;
    for part in guide.stack.shape().parts() {
        let runs = |line: &str| is_of(line, part) && line.contains(" running ");
        ensure!(status.lines().any(runs), "{part} should be running");
    }
    ensure!(!sentence_of_main(&status).is_empty(), "it should end by saying how far the replica is");
    Ok(())
}

/// Whether a line of `status` is about this part.
fn is_of(line: &str, part: Part) -> bool {
    line.split_whitespace().next() == Some(part.name().as_str())
}

/// What `status` says at the end about the replica that the tour reads.
fn sentence_of_main(status: &str) -> &str {
    status.lines().rfind(|line| line.starts_with("replica main: ")).unwrap_or_default()
}
