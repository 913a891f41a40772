//! Waiting for a process that sends no signal when it is ready.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Asks `probe` every `interval` until it has an answer; `None` when `limit` has passed without one.
pub fn until<T>(
    limit: Duration,
    interval: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe()? {
            return Ok(Some(answer));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(interval);
    }
}
