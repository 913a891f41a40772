//! A session that can only look, with a deadline on each look.

use std::time::Duration;

use shared::postgres::{ConnectError, DatabaseUrl, Fault, Session, SessionKind};
use tokio::time::timeout;
use tokio_postgres::{Row, Statement, types::ToSql};

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The database cannot be reached, or did not answer in time.
    #[error("{0} is away")]
    Away(&'static str),
    /// It answers, but not this: a fault of ours, a schema of another version, or a row that nothing of ours has written.
    #[error("{part} cannot be looked at")]
    Refused {
        /// Which database.
        part: &'static str,
        /// What it says.
        #[source]
        error: tokio_postgres::Error,
    },
}

/// A session on a database that is looked at.
#[derive(Debug)]
pub struct Inspector {
    session: Session,
    part: &'static str,
    deadline: Duration,
}

impl Inspector {
    /// Connects. `part` is how the database is called, `deadline` is longer than the session's own bound for a statement.
    ///
    /// # Errors
    /// The database is away.
    pub async fn open(
        database: &DatabaseUrl,
        kind: SessionKind,
        part: &'static str,
        deadline: Duration,
    ) -> Result<Self, InspectError> {
        let session = database.connect(kind).await.map_err(|error| match error {
            ConnectError::Deadline | ConnectError::Refused(_) => InspectError::Away(part),
        })?;
        Ok(Self { session, part, deadline })
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn prepare(&self, sql: &str) -> Result<Statement, InspectError> {
        self.in_time(self.session.prepare(sql)).await
    }

    /// Looks once.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn query(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, InspectError> {
        self.in_time(self.session.query(statement, params)).await
    }

    /// Looks for exactly one row.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn query_one(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, InspectError> {
        self.in_time(self.session.query_one(statement, params)).await
    }

    async fn in_time<T>(
        &self,
        looking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, InspectError> {
        match timeout(self.deadline, looking).await {
            Ok(result) => result.map_err(|error| self.judge(error)),
            Err(_) => Err(InspectError::Away(self.part)),
        }
    }

    /// What an error, be it of a statement or of reading its rows, says of the database.
    pub fn judge(&self, error: tokio_postgres::Error) -> InspectError {
        match Fault::of(&error, &self.session) {
            Fault::ConnectionLost | Fault::Retryable => InspectError::Away(self.part),
            Fault::Unable | Fault::Data | Fault::Other => InspectError::Refused { part: self.part, error },
        }
    }
}
