//! Why the replica is not reachable, or a batch is not applied.

use shared::postgres::{ConnectError, Fault, Session};
use tokio_postgres::Error;
use uuid::Uuid;

/// Why a session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaOpenError {
    /// The replica is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The replica went down while the session was prepared.
    #[error("the connection to the replica was lost")]
    Lost(#[source] tokio_postgres::Error),
    /// The replica answers, but lacks our tables or has other ones.
    #[error("the replica's schema is not the one expected")]
    Schema(#[source] tokio_postgres::Error),
}

impl ReplicaOpenError {
    pub(super) fn preparing(error: tokio_postgres::Error, session: &Session) -> Self {
        match session.fault(&error) {
            Fault::Unable | Fault::Data | Fault::Other => Self::Schema(error),
            Fault::ConnectionLost | Fault::Retryable => Self::Lost(error),
        }
    }
}

/// Why a batch was not applied. The fault is not the batch's own, so the consumer keeps it and tries again.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The replica is down, hangs, or cannot work now.
    #[error("the replica cannot apply events now")]
    Replica(#[source] Error),
    /// The replica did not finish in time.
    #[error("the replica did not finish in time")]
    Deadline,
    /// The events or the watermark are of another epoch than the rows.
    #[error("the replica holds epoch {held}, what comes is of epoch {met}")]
    ForeignEpoch {
        /// The replica's epoch.
        held: Uuid,
        /// The epoch of the event or watermark.
        met: Uuid,
    },
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self::Replica(error)
    }
}
