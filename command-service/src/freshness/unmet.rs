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
        /// When a caller may try again, judged by how far the replica is behind, in seconds.
        retry_after_secs: u32,
        /// How long ago the replica was complete; `None` if it has never been.
        lag: Option<Duration>,
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

/// Whether the log is known to reach the receipt's position.
pub(super) fn reaches(end: &LogEnd, receipt: &Receipt) -> bool {
    receipt.epoch().is_none_or(|epoch| epoch == end.epoch && receipt.position() <= end.position)
}

/// Compares receipts with the log's end as it is now.
///
/// # Errors
/// A receipt is of another epoch, or beyond the log's end.
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
