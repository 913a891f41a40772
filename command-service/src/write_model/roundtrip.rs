//! One roundtrip to the primary, and what its failure says about the write. The [session](super::session) sets the
//! deadline.

use shared::postgres::Fault;
use tokio_postgres::error::{DbError, Severity};

use super::{draft::Draft, idempotency_keys::KEYS_CONSTRAINT, session::PrimarySession};

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection was lost before the write was sent, or before its COMMIT ran: nothing happened.
    #[error("the connection was lost before the write was sent")]
    Interrupted,
    /// The connection was lost after the write was sent: it may have committed, or still may.
    #[error("the connection was lost after the write was sent")]
    Unsettled(Box<Draft>),
    /// Others caused the rollback; a retry may succeed.
    #[error("the primary rolled the batch back because of others")]
    Retryable(#[source] tokio_postgres::Error),
    /// Rolled back because the primary cannot write now.
    #[error("the primary cannot write now")]
    Unable(#[source] tokio_postgres::Error),
    /// A command of the batch caused the rollback.
    #[error("the primary refused a command of the batch")]
    Culprit(#[source] tokio_postgres::Error),
}

/// Why a roundtrip brought no result.
#[derive(Debug)]
pub(super) enum WriteFault {
    /// The last statement may or may not have run.
    ConnectionLost,
    /// The connection is lost, and nothing was done.
    Undone,
    /// The transaction was rolled back.
    RolledBack(tokio_postgres::Error),
}

impl WriteFault {
    /// Classifies the error of a statement before the COMMIT. Statements run in order, so the COMMIT did not run, or
    /// had nothing to commit.
    pub(super) fn before_commit(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            None => Self::ConnectionLost,
            Some(db) if ends_session(db) => Self::Undone,
            Some(_) => Self::RolledBack(error),
        }
    }

    /// Classifies the error of the COMMIT. A session that ends there may have committed.
    pub(super) fn at_commit(error: tokio_postgres::Error) -> Self {
        match Self::before_commit(error) {
            Self::Undone => Self::ConnectionLost,
            other => other,
        }
    }

    pub(super) fn before_write(self) -> Failure {
        match self {
            Self::ConnectionLost | Self::Undone => Failure::Interrupted,
            Self::RolledBack(error) => Failure::of_rollback(error),
        }
    }

    pub(super) fn before_answer(self, draft: Draft) -> Failure {
        match self {
            Self::ConnectionLost => Failure::Unsettled(Box::new(draft)),
            Self::Undone => Failure::Interrupted,
            Self::RolledBack(error) => Failure::of_rollback(error),
        }
    }
}

impl Failure {
    pub(super) fn of_rollback(error: tokio_postgres::Error) -> Self {
        // Another batch stored the key without reserving it; the next decision will find it.
        if error.as_db_error().and_then(DbError::constraint) == Some(KEYS_CONSTRAINT) {
            return Self::Retryable(error);
        }
        match Fault::of_rollback(&error) {
            Fault::Retryable => Self::Retryable(error),
            Fault::Unable => Self::Unable(error),
            Fault::ConnectionLost | Fault::Data | Fault::Other => Self::Culprit(error),
        }
    }
}

fn ends_session(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// Awaits a roundtrip; tells a lost connection from a rolled-back transaction.
pub(super) async fn exchange<T>(
    primary: &PrimarySession,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, WriteFault> {
    work.await.map_err(|error| match primary.session.fault(&error) {
        Fault::ConnectionLost => WriteFault::ConnectionLost,
        Fault::Retryable | Fault::Unable | Fault::Data | Fault::Other => WriteFault::RolledBack(error),
    })
}
