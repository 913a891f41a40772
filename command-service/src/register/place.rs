//! Places in the log.

use jiff::Timestamp;
use uuid::Uuid;

/// The end of a log: its last position, and the epoch of that position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The epoch.
    pub epoch: Uuid,
    /// The last position; 0 while the log is empty.
    pub position: i64,
}

/// An event that a process has seen in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The epoch.
    pub epoch: Uuid,
    /// The event's position.
    pub position: i64,
    /// Its commit time. It tells this event from another event that later gets the same position.
    pub committed_at: Timestamp,
}
