//! The progress, the result and the errors of a rebuild.

use super::copy::{SwapCounts, fault::StepError};

/// The progress of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// How many positions the copy has.
    pub settled: i64,
    /// The end of the log, as known now.
    pub end: i64,
    /// Whether the copy is level and tries to take the replica's place.
    pub is_level: bool,
}

/// The result of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// What the replica contains now.
    pub counts: SwapCounts,
    /// Whether the replaced state is removed, too.
    pub is_cleared: bool,
}

/// Why a rebuild failed; the replica is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A step failed, and waiting does not help.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The copy made no progress for too long, because a dependency is down.
    #[error("{dependency} is down: {cause}")]
    Down {
        /// Which dependency.
        dependency: &'static str,
        /// The error of the last attempt to reach it.
        cause: String,
    },
    /// The events are of more than one epoch.
    #[error("the primary was restored or replaced meanwhile: rebuild again")]
    ForeignEpoch,
    /// A message that came meanwhile claims a position that the log does not have.
    #[error("a message of position {claimed} came, and the log ends at {end}: rebuild again")]
    BeyondLog {
        /// The highest position that the copy has.
        claimed: i64,
        /// The last position of the log.
        end: i64,
    },
    /// The replica claims a position that the copy does not get, and the log has not said whether it has it.
    #[error(
        "the replica claims position {claimed}, and no watermark tells whether the log has it: \
         rebuild again when writing has paused for a second"
    )]
    Busy {
        /// The first position that the copy lacks.
        claimed: i64,
    },
    /// The swap could not get the locks that it needs.
    #[error("the copy is level, but cannot take the replica's place; in the way: {0}")]
    InTheWay(String),
    /// The caller stopped the rebuild.
    #[error("interrupted")]
    Interrupted,
}
