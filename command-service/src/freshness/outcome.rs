//! How a read's demand ended.

use std::time::Duration;

use crate::{
    primary::log_end::LogEndError,
    queries::replica::{Read, ReadError},
};

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

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    /// The replica is down, or refused.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was demanded needs a look at the primary, which is down.
    #[error("the primary database is down")]
    PrimaryDown,
    /// A receipt names a position that the log has not reached.
    #[error("a receipt lies beyond the end of the log")]
    BeyondLog,
    /// A receipt is of another epoch.
    #[error("a receipt is of another epoch")]
    ForeignReceipt,
    /// A write of which a receipt was handed back was dead-lettered on the replica.
    #[error("a write was dead-lettered")]
    DeadLettered,
    /// The demand was not met in time.
    #[error("the replica is behind")]
    Behind {
        /// When it may be, judged by how far it is behind, in seconds.
        retry_after_secs: u32,
    },
    /// Too many reads wait.
    #[error("too many reads are waiting")]
    TooMany,
    /// The service is about to end.
    #[error("the service is about to end")]
    Stopping,
}

impl From<LogEndError> for Unmet {
    fn from(error: LogEndError) -> Self {
        match error {
            LogEndError::Down => Self::PrimaryDown,
            LogEndError::TooMany => Self::TooMany,
        }
    }
}
