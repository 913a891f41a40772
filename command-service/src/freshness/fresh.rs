//! How fresh an answer is.

use std::time::Duration;

use jiff::Timestamp;

use crate::queries::replica::Read;

/// How a read's demand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing was demanded.
    Eventual,
    /// What was demanded holds.
    Satisfied,
    /// It does not, and the caller takes that.
    Stale,
}

/// What a read found, and how fresh that is.
#[derive(Clone, Debug)]
pub struct Fresh<T> {
    /// What it found.
    pub read: Read<T>,
    /// How its demand ended.
    pub freshness: Freshness,
    /// How long ago the replica was complete; not less than it truly was.
    pub lag: Option<Duration>,
    /// How long it waited for the demand to be met.
    pub waited: Duration,
}

/// What the replica said of itself, without a query.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the replica was complete; `None` before it has once been.
    pub as_of: Option<Timestamp>,
    /// How long ago that was; not less than it truly was.
    pub lag: Option<Duration>,
    /// How long ago the replica said so.
    pub ago: Duration,
}
