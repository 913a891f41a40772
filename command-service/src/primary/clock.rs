//! The primary's clock, as this process knows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The primary's clock as this process knows it: its answer, and when this process asked. Between two hosts, only
/// durations are compared, never times of day.
#[derive(Clone, Copy, Debug)]
pub struct PrimaryClock {
    /// The clock's answer.
    pub said: Timestamp,
    /// When this process sent the question. The answer cannot be older.
    pub asked_at: tokio::time::Instant,
}

/// The most that two clocks may drift apart, as a ratio: twice the 500 ppm that NTP allows itself.
const DRIFT: f64 = 0.001;

impl PrimaryClock {
    /// An upper bound for the primary's clock at `instant`. `instant` must not be before `asked_at`.
    #[must_use]
    pub fn latest_at(&self, instant: tokio::time::Instant) -> Timestamp {
        let passed = instant.saturating_duration_since(self.asked_at);
        let passed = passed + passed.mul_f64(DRIFT) + Duration::from_micros(1);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.said.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
