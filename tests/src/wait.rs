//! Waiting for a condition, with a deadline.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

/// How long the pair may take to be level again after a fault: a lost connection is noticed at once, and the pauses
/// between two attempts to connect are at most 2 s. The rest is for a busy machine.
pub const RECOVERY: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Tries `attempt` until it succeeds.
///
/// # Errors
/// The last failure, when `deadline` has passed; `what` says what was waited for.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last_failure = None;
    loop {
        match tokio::time::timeout_at(end, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failure)) if Instant::now() >= end => {
                return Err(failure).with_context(|| format!("after {deadline:?} still waiting: {what}"));
            }
            Ok(Err(failure)) => {
                last_failure = Some(failure);
                sleep(INTERVAL).await;
            }
            Err(elapsed) => {
                return Err(last_failure.unwrap_or_else(|| elapsed.into()))
                    .with_context(|| format!("after {deadline:?} an attempt still ran: {what}"));
            }
        }
    }
}

/// Runs what blocks (starting and stopping servers) beside the tasks of the test.
///
/// # Errors
/// Those of `work`.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("blocking work panicked")?
}
