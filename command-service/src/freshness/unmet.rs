//! Why a read has no answer.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    primary::log_end::LogEndError,
    queries::replica::ReadError,
    register::{place::LogEnd, receipt::Receipt},
};

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    /// The replica is down, or refused the read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The demand needs the primary, which is down.
    #[error("the primary database is down")]
    PrimaryDown,
    /// The demand needs the primary, and this process has no access to it.
    #[error("this process has no access to the primary")]
    NoAccess,
    /// A receipt names a position that the log has not reached.
    #[error("a receipt lies beyond the end of the log")]
    BeyondLog,
    /// A receipt is of another epoch.
    #[error("a receipt is of another epoch")]
    ForeignReceipt,
    /// The replica dead-lettered a write whose receipt the caller handed back.
    #[error("a write was dead-lettered")]
    DeadLettered,
    /// The replica did not meet the demand in time.
    #[error("the replica is behind")]
    Behind {
        /// Seconds until the caller may try again, estimated from how far the replica is behind.
        retry_after_secs: u32,
        /// How long ago the replica was complete; `None` if it was never complete.
        lag: Option<Duration>,
    },
    /// Too many reads wait.
    #[error("too many reads are waiting")]
    TooMany,
    /// The service is stopping.
    #[error("the service is about to end")]
    Stopping,
}

impl From<LogEndError> for Unmet {
    fn from(error: LogEndError) -> Self {
        match error {
            LogEndError::NoAccess => Self::NoAccess,
            LogEndError::Down => Self::PrimaryDown,
            LogEndError::TooMany => Self::TooMany,
        }
    }
}

/// Whether `end` reaches the receipt's position, in the receipt's epoch.
pub(super) fn reaches(end: &LogEnd, receipt: &Receipt) -> bool {
    receipt.epoch().is_none_or(|epoch| epoch == end.epoch && receipt.position() <= end.position)
}

/// Checks receipts against the log's current end.
///
/// # Errors
/// A receipt is of another epoch, or lies beyond the log's end.
pub(super) fn judge(receipts: &[Receipt], end: &LogEnd) -> Result<(), Unmet> {
    for receipt in receipts {
        if receipt.epoch().is_some_and(|epoch| epoch != end.epoch) {
            return Err(Unmet::ForeignReceipt);
        }
        if !reaches(end, receipt) {
            return Err(Unmet::BeyondLog);
        }
    }
    Ok(())
}

/// Whether both epochs are known and differ.
pub(super) fn is_another(known: Option<Uuid>, met: Option<Uuid>) -> bool {
    known.zip(met).is_some_and(|(known, met)| known != met)
}

/// Up to where the replica must be complete for a receipt; `None` if its epoch is not known.
pub(super) fn position_of(receipt: &Receipt) -> Option<LogEnd> {
    receipt.epoch().map(|epoch| LogEnd { epoch, position: receipt.position() })
}
