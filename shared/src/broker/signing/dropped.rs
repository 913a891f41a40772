//! Messages that are dropped because they are not signed.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Unsigned;

/// How often the log says how many messages were dropped.
const DROPPED_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Counts the messages of one kind that are dropped because they are not signed. Says so in the log, at once and then
/// at most every 30 s.
#[derive(Debug)]
pub struct DroppedMessages {
    kind: &'static str,
    dropped: Mutex<Dropped>,
}

#[derive(Debug, Default)]
struct Dropped {
    count: u64,
    logged_at: Option<Instant>,
}

impl DroppedMessages {
    /// Counts messages of this kind.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self { kind, dropped: Mutex::default() }
    }

    /// Counts one more.
    pub fn note(&self, unsigned: Unsigned) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.count += 1;
        if dropped.logged_at.is_none_or(|logged_at| logged_at.elapsed() >= DROPPED_LOG_INTERVAL) {
            dropped.logged_at = Some(Instant::now());
            tracing::warn!(kind = self.kind, dropped = dropped.count, reason = %unsigned, "message dropped");
        }
    }
}
