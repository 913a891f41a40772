//! What an error of PostgreSQL says about the next step.

use tokio_postgres::{
    Client,
    error::{Severity, SqlState},
};

/// What an error of PostgreSQL says about the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone or ending: the last statement may or may not have run.
    ConnectionLost,
    /// Others caused the rollback (serialization, deadlock, a lock or statement timeout, a cancel): a retry may
    /// succeed.
    Retryable,
    /// The server cannot work now, and rolled back: no disk, no memory, no privilege, not migrated, read-only.
    Unable,
    /// The data caused the rollback (SQLSTATE classes 22 and 23).
    Data,
    /// Another reason caused the rollback.
    Other,
}

impl Fault {
    /// Judges an error from the connection of `client`.
    ///
    /// A [`Session`](super::Session) judges its own errors: see [`Session::fault`](super::Session::fault).
    #[must_use]
    pub fn of(error: &tokio_postgres::Error, client: &Client) -> Self {
        let Some(db) = error.as_db_error() else {
            // A client-side error (a parameter of the wrong type) leaves the connection open.
            return if client.is_closed() || error.is_closed() { Self::ConnectionLost } else { Self::Other };
        };
        if matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || client.is_closed() {
            return Self::ConnectionLost;
        }
        Self::of_rollback(error)
    }

    /// Judges the error of a transaction known to be rolled back.
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
            // Another transaction is the cause, whichever code of the class says so.
            Some("40") => Self::Retryable,
            // A connection behind the server, insufficient resources, object not in prerequisite state, operator
            // intervention, system error, no privilege or no such table, transaction state (read-only).
            Some("08" | "53" | "55" | "57" | "58" | "42" | "25") => Self::Unable,
            _ => Self::Other,
        }
    }
}
