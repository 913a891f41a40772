//! How far a rebuild is, what it has led to, and why it has not.

use super::copy::{SwapCounts, fault::StepError};

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// How many positions the copy has.
    pub settled: i64,
    /// How many there are, as far as is known.
    pub end: i64,
    /// Whether the copy is level and tries to take the replica's place.
    pub is_level: bool,
}

/// What a rebuild has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// What the replica holds now.
    pub counts: SwapCounts,
    /// Whether what was replaced is gone, too.
    pub is_cleared: bool,
}

/// Why the replica is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A step failed in a way that waiting does not mend.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nothing has moved for too long, because a dependency is down.
    #[error("{dependency} is down: {cause}")]
    Down {
        /// Which dependency.
        dependency: &'static str,
        /// What the last attempt to reach it met.
        cause: String,
    },
    /// The events are not all of one life of the primary.
    #[error("the primary was restored or replaced meanwhile: rebuild again")]
    ForeignEpoch,
    /// The replica says that it has what the log does not have.
    #[error(
        "the replica claims to hold positions up to {claimed}, and the log ends at {end}: if the primary was restored, \
         run command-service migrate --new-epoch first"
    )]
    BeyondLog {
        /// The highest position that it claims.
        claimed: i64,
        /// The last one of the log.
        end: i64,
    },
    /// The swap could not get the locks that it needs.
    #[error("the copy is level, but cannot take the replica's place; in the way: {0}")]
    InTheWay(String),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}
