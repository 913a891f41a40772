//! Why a read failed.

use std::{error::Error, fmt, sync::Arc};

use shared::postgres::{Fault, Session};

/// Why a read failed. Reads that share a statement share its error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The replica is down, or did not answer in time.
    #[error("the replica database is down")]
    Down(#[source] SharedCause),
    /// Too many reads wait, or the search takes too long.
    #[error("too many reads are waiting, or the search takes too long")]
    Overloaded,
    /// The replica refused the query: a fault of this service.
    #[error("the replica refused a query")]
    Sql(#[source] SharedCause),
}

/// A cause that several errors have.
#[derive(Clone, Debug)]
pub struct SharedCause(Arc<dyn Error + Send + Sync>);

impl SharedCause {
    pub(super) fn of(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }
}

/// The question was dropped: the replica is silent, or the service ends.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer in time")]
pub(super) struct QuestionDropped;

impl fmt::Display for SharedCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Error for SharedCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A statement has no answer, or one with a value that breaks the rules of its type.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRow {
    /// The replica refused the statement, or a column holds something else.
    #[error(transparent)]
    Sql(#[from] tokio_postgres::Error),
    /// The status is not the document that it must be.
    #[error("the replica's status cannot be read")]
    Status(#[from] serde_json::Error),
    /// A slot's document was changed by hand, and is none of a slot.
    #[error("a slot's document cannot be read")]
    Document(#[source] serde_json::Error),
}

/// Whether the statement can be sent again on another connection.
pub(super) fn is_lost(error: &BadRow, session: &Session) -> bool {
    matches!(error, BadRow::Sql(error) if session.fault(error) == Fault::ConnectionLost)
}

/// What the callers are told of an error.
pub(super) fn refusal(error: BadRow, session: &Session) -> ReadError {
    match &error {
        BadRow::Sql(sql) => match session.fault(sql) {
            Fault::ConnectionLost | Fault::Unable | Fault::Retryable => {
                ReadError::Down(SharedCause::of(error))
            }
            Fault::Data | Fault::Other => ReadError::Sql(SharedCause::of(error)),
        },
        BadRow::Status(_) | BadRow::Document(_) => ReadError::Sql(SharedCause::of(error)),
    }
}
