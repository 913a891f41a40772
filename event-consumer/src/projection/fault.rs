//! Why the replica is not reachable, or a batch is not applied.

use std::{error::Error as _, io};

use shared::postgres::{ConnectError, Fault, Session};
use tokio_postgres::{Error, error::Severity};
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
    /// The replica refuses the batch for a reason that may lie in its content. If the replica refuses it again on a
    /// new connection, the batch is taken apart.
    #[error("the replica refuses a batch")]
    Refused(#[source] Error),
    /// The replica refuses a plain event of the same type as well, so the fault is the replica's own.
    #[error("the replica refuses every event of a type")]
    RefusesAll(#[source] Error),
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

/// Whether the cause of a refusal may lie in what was applied. False for a fault of the connection, of the server, of
/// another transaction, of a privilege or of the schema.
pub(super) fn may_lie_in_content(error: &Error) -> bool {
    if let Some(refusal) = error.as_db_error() {
        let ends_session = matches!(refusal.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        return !ends_session && matches!(Fault::of_rollback(error), Fault::Data | Fault::Other);
    }
    // Without an answer of the server: the connection was lost, or a value cannot be encoded.
    !error.is_closed() && !error.source().is_some_and(|source| source.is::<io::Error>())
}

/// Which refusals count as the fault of one event, so that it is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// Those that name the data as their cause (SQLSTATE classes 22 and 23).
    Data,
    /// All that may lie in the content: the replica has refused the batch before, on another connection.
    Content,
}

impl Blame {
    /// Whether a refusal counts.
    pub(super) fn covers(self, error: &Error) -> bool {
        match self {
            Self::Data => error.as_db_error().is_some() && Fault::of_rollback(error) == Fault::Data,
            Self::Content => may_lie_in_content(error),
        }
    }

    /// The error of a refusal that does not count.
    pub(super) fn uncovered(self, error: Error) -> ApplyError {
        match may_lie_in_content(&error) {
            true => ApplyError::Refused(error),
            false => ApplyError::Replica(error),
        }
    }
}
