//! The primary's clock, as this process knows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The primary's clock as this process knows it: what it said, and when it was asked. Between two hosts only lengths of
/// time are compared, never times of day.
#[derive(Clone, Copy, Debug)]
pub struct PrimaryClock {
    /// What it said.
    pub said: Timestamp,
    /// When the question was sent: the answer cannot be older.
    pub asked_at: tokio::time::Instant,
}

/// By how much two clocks may run apart: twice what NTP allows itself (500 ppm).
const DRIFT: f64 = 0.001;

impl PrimaryClock {
    /// A time that the primary's clock does not reach before `instant`, which must not be before it was asked.
    #[must_use]
    pub fn latest_at(&self, instant: tokio::time::Instant) -> Timestamp {
        let passed = instant.saturating_duration_since(self.asked_at);
        let passed = passed + passed.mul_f64(DRIFT) + Duration::from_micros(1);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.said.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
