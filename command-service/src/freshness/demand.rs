//! What a read may demand, and whether a replica meets it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::register::{place::LogEnd, receipt::Receipt};

/// The most receipts that one read hands back.
pub const RECEIPTS_MAX: usize = 16;

/// The most that `max_staleness_ms` may be: a day.
pub const MAX_STALENESS_MS_MAX: u64 = 86_400_000;

/// How long a read waits when the caller does not say, in milliseconds.
pub const WAIT_MS_DEFAULT: u64 = 2_000;

/// The longest that a read waits, in milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;

/// What to do when the demand is not met in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// Refuse.
    #[default]
    Fail,
    /// Answer with what there is, and say so.
    Stale,
}

/// What a read demands. All of it must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What returned these receipts is visible.
    pub receipts: Vec<Receipt>,
    /// Complete as of at most this long before the request.
    pub max_staleness: Option<Duration>,
    /// Complete as of the arrival of the request.
    pub strong: bool,
    /// How long to wait for it.
    pub wait: Duration,
    /// What to do then.
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
    /// Whether any state of the replica will do.
    #[must_use]
    pub fn is_eventual(&self) -> bool {
        self.receipts.is_empty() && self.max_staleness.is_none() && !self.strong
    }
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLevel {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// Every write whose commit time is not after this is settled.
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

/// Complete as of a moment: known by the time of what was settled last, or by the position that the log had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The moment by the primary's clock, not earlier than it truly was; unknown if that clock is.
    pub moment: Option<Timestamp>,
    /// The log's end, looked at after the moment.
    pub end: Option<LogEnd>,
}

/// What a level lacks, first things first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It is of another epoch.
    Epoch,
    /// It ends before this position.
    Position(i64),
    /// It is too old: neither as of this moment, nor does it reach this position.
    Moment(Option<Timestamp>, Option<i64>),
}

impl Need {
    /// What `level` lacks; `None` if it is enough. `latest` is a time that the primary's clock has not reached yet: a
    /// level as of later than that shows that its clock is not what we think, and proves nothing.
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
        // An empty log is held by a replica that has not heard of it.
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
