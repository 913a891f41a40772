//! Places in the log.

use jiff::Timestamp;
use uuid::Uuid;

/// The end of a log: its last position, and the epoch in which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The epoch.
    pub epoch: Uuid,
    /// The last position; 0 while the log is empty.
    pub position: i64,
}

/// An event of the log that somebody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The epoch.
    pub epoch: Uuid,
    /// The event's position.
    pub position: i64,
    /// Its commit time, which tells it from another event that was given the same position later.
    pub committed_at: Timestamp,
}
