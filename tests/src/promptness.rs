//! Whether answers come in time, on a machine that may itself stall.
//!
//! A machine that has too much to do makes one answer or another late; a service that waits for what it should not makes
//! each one late. So who is late gets another chance, a few times. What cannot be made again is held against a bound that
//! lies well before the time that the wrong behaviour would take.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::client::Reply;

/// How often something may be late in a row before the services are to blame.
const CHANCES: usize = 3;

/// Makes a call, one that may be made again, until its answer comes within `bound`.
///
/// # Errors
/// Those of the call, or each answer came late.
pub async fn answered_within(bound: Duration, mut call: impl AsyncFnMut() -> Result<Reply>) -> Result<Reply> {
    in_time(bound, async || {
        let reply = call().await?;
        let took = reply.took;
        Ok((reply, took))
    })
    .await
}

/// Runs an attempt until the slowest answer in it, whose time it returns, came within `bound`.
///
/// # Errors
/// Those of an attempt, or each was late.
pub async fn in_time<T>(
    bound: Duration,
    mut attempt: impl AsyncFnMut() -> Result<(T, Duration)>,
) -> Result<T> {
    let mut late = Vec::new();
    while late.len() < CHANCES {
        let (done, took) = attempt().await?;
        if took < bound {
            return Ok(done);
        }
        late.push(took);
    }
    bail!("within {bound:?} was allowed, and it took {late:?}")
}
