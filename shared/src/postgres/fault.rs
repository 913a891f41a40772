//! What an error of PostgreSQL says about the next step.

use tokio_postgres::{
    Client,
    error::{Severity, SqlState},
};

/// What an error of PostgreSQL says about the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone, or the server is ending it: what was sent last may or may not have been done.
    ConnectionLost,
    /// The transaction was rolled back because of others (serialization, deadlock, a lock or statement timeout, a
    /// cancel): the same may succeed when tried again.
    Retryable,
    /// The transaction was rolled back because the server cannot work now: no disk, no memory, no privilege, not
    /// migrated, read-only.
    Unable,
    /// The transaction was rolled back because of the data (SQLSTATE classes 22 and 23).
    Data,
    /// The transaction was rolled back for another reason.
    Other,
}

impl Fault {
    /// Judges `error`, which came from a connection on which `client` works.
    ///
    /// A [`Session`](super::Session) judges its own errors: see [`Session::fault`](super::Session::fault).
    #[must_use]
    pub fn of(error: &tokio_postgres::Error, client: &Client) -> Self {
        let Some(db) = error.as_db_error() else {
            // An error of the client's own (a parameter that does not fit) leaves the connection open.
            return if client.is_closed() || error.is_closed() { Self::ConnectionLost } else { Self::Other };
        };
        if matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || client.is_closed() {
            return Self::ConnectionLost;
        }
        Self::of_rollback(error)
    }

    /// Judges an error of a transaction that is known to be rolled back.
    #[must_use]
    pub fn of_rollback(error: &tokio_postgres::Error) -> Self {
        const RETRYABLE: [SqlState; 4] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
        ];
        let Some(code) = error.code() else {
            return Self::Other;
        };
        if RETRYABLE.contains(code) {
            return Self::Retryable;
        }
        match code.code().get(..2) {
            Some("22" | "23") => Self::Data,
            // Insufficient resources, object not in prerequisite state, operator intervention, system error, no
            // privilege or no such table, transaction state (read-only).
            Some("53" | "55" | "57" | "58" | "42" | "25") => Self::Unable,
            _ => Self::Other,
        }
    }
}
