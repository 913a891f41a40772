//! The pauses between attempts to reach a dependency that is down.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Pauses that rise from 50 ms to 1 s, each lengthened by a random part of itself. They never end, because
/// the caller waits until the dependency is up. Once the dependency has answered, the caller starts with new
/// pauses.
#[derive(Debug)]
pub struct Pauses(backon::ExponentialBackoff);

impl Pauses {
    /// Starts with the shortest pause.
    #[must_use]
    pub fn new() -> Self {
        let builder = ExponentialBuilder::default().with_min_delay(SHORTEST).with_max_delay(LONGEST);
        Self(builder.with_jitter().without_max_times().build())
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }

    /// Waits for the next pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self::new()
    }
}
