//! What a read may demand, and whether a replica meets it. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::register::{place::LogEnd, receipt::Receipt};

/// The most receipts that a caller may hand back with one read.
pub const RECEIPTS_MAX: usize = 16;

/// The upper bound of `max_staleness_ms`: one day.
pub const MAX_STALENESS_MS_MAX: u64 = 86_400_000;

/// How long a read waits when the caller does not say, in milliseconds.
pub const WAIT_MS_DEFAULT: u64 = 2_000;

/// The longest wait of a read, in milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;

/// What to do when the replica does not meet the demand in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// Refuse.
    #[default]
    Fail,
    /// Answer with the replica's current state, marked as stale.
    Stale,
}

/// What a read demands. The replica must meet all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The reads and writes that returned these receipts are visible.
    pub receipts: Vec<Receipt>,
    /// The replica is complete as of a time at most this long before the request.
    pub max_staleness: Option<Duration>,
    /// The replica is complete as of the arrival of the request.
    pub strong: bool,
    /// How long to wait for the replica to meet the demand.
    pub wait: Duration,
    /// What to do after that wait.
    pub on_timeout: OnTimeout,
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            receipts: Vec::new(),
            max_staleness: None,
            strong: false,
            wait: Duration::from_millis(WAIT_MS_DEFAULT),
            on_timeout: OnTimeout::Fail,
        }
    }
}

impl Demand {
    /// Whether any state of the replica meets the demand.
    #[must_use]
    pub fn is_eventual(&self) -> bool {
        self.receipts.is_empty() && self.max_staleness.is_none() && !self.strong
    }
}

/// How far a replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLevel {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// Every write committed at or before this time is settled.
    pub as_of: Option<Timestamp>,
    /// The epoch in which the positions count.
    pub epoch: Option<Uuid>,
}

/// A demand in terms of positions and times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Complete up to each of these, in its epoch.
    pub up_to: Vec<LogEnd>,
    /// Complete as of a moment.
    pub bounded: Option<Bounded>,
}

/// Complete as of a moment. Either the replica's `as_of` proves it, or the replica reaches the log's end of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The moment by the primary's clock: the true one or a later one. `None` while that clock is unknown.
    pub moment: Option<Timestamp>,
    /// The log's end, read after the moment.
    pub end: Option<LogEnd>,
}

/// What a level lacks. [`Need::lack`] returns the most severe lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The level is of another epoch.
    Epoch,
    /// The level ends before this position.
    Position(i64),
    /// The level is too old: it is not as of this moment, and does not reach this position.
    Moment(Option<Timestamp>, Option<i64>),
}

impl Need {
    /// What `level` lacks; `None` if it is enough. `latest` is an upper bound for the primary's clock. An `as_of` after
    /// `latest` shows that this process misjudges that clock. Such an `as_of` proves nothing.
    #[must_use]
    pub fn lack(&self, level: &ReplicaLevel, latest: Option<Timestamp>) -> Option<Lack> {
        let shortfall = self.up_to.iter().filter_map(|end| lack_of(end, level));
        let worst = shortfall.max_by_key(|lack| match lack {
            Lack::Epoch => i64::MAX,
            Lack::Position(position) => *position,
            Lack::Moment(..) => 0,
        });
        worst.or_else(|| self.bounded.and_then(|bounded| bounded.lack(level, latest)))
    }
}

fn lack_of(end: &LogEnd, level: &ReplicaLevel) -> Option<Lack> {
    match level.epoch {
        // A replica without an epoch has applied nothing. That is all of an empty log.
        None if end.position == 0 => None,
        None => Some(Lack::Position(end.position)),
        Some(epoch) if epoch != end.epoch => Some(Lack::Epoch),
        Some(_) => (level.applied_through < end.position).then_some(Lack::Position(end.position)),
    }
}

impl Bounded {
    fn lack(&self, level: &ReplicaLevel, latest: Option<Timestamp>) -> Option<Lack> {
        let by_time = match (self.moment, level.as_of, latest) {
            (Some(moment), Some(as_of), Some(latest)) => (moment..=latest).contains(&as_of),
            _ => false,
        };
        let by_position = self.end.is_some_and(|end| lack_of(&end, level).is_none());
        (!by_time && !by_position).then(|| Lack::Moment(self.moment, self.end.map(|end| end.position)))
    }
}
