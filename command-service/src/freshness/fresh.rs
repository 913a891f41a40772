//! How fresh an answer is.

use std::time::Duration;

use jiff::Timestamp;

use crate::queries::replica::Read;

/// How a read's demand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The caller demanded nothing.
    Eventual,
    /// The demand is met.
    Satisfied,
    /// The demand is not met; the caller accepts that.
    Stale,
}

/// The result of a read, and its freshness.
#[derive(Clone, Debug)]
pub struct Fresh<T> {
    /// The rows, and the replica's status.
    pub read: Read<T>,
    /// How its demand ended.
    pub freshness: Freshness,
    /// Time since the replica was complete; never too low.
    pub lag: Option<Duration>,
    /// How long the read waited for its demand.
    pub waited: Duration,
}

/// The status that the replica pushed, without a query.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the replica was complete; `None` before the first time.
    pub as_of: Option<Timestamp>,
    /// Time since then; never too low.
    pub lag: Option<Duration>,
    /// Time since the replica pushed this.
    pub ago: Duration,
}
