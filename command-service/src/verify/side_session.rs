//! A session that can only look. Its errors say which database is down.

use shared::postgres::{DatabaseUrl, Fault, Session, SessionKind};
use tokio_postgres::{Row, Statement, types::ToSql};

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The database cannot be reached, or did not answer in time.
    #[error("{dependency} is down")]
    Down {
        /// Which database.
        dependency: &'static str,
        /// What the attempt met.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answers, but not this: a fault of ours, a schema of another version, or a row that nothing of ours has written.
    #[error("{dependency} cannot be looked at")]
    Refused {
        /// Which database.
        dependency: &'static str,
        /// What it says.
        #[source]
        error: tokio_postgres::Error,
    },
}

/// A session on a database that is looked at.
#[derive(Debug)]
pub struct SideSession {
    session: Session,
    dependency: &'static str,
}

impl SideSession {
    /// Connects. `dependency` is how the database is called.
    ///
    /// # Errors
    /// The database is down.
    pub async fn open(
        database: &DatabaseUrl,
        kind: SessionKind,
        dependency: &'static str,
    ) -> Result<Self, SideError> {
        let session = database
            .connect(kind)
            .await
            .map_err(|error| SideError::Down { dependency, cause: error.into() })?;
        Ok(Self { session, dependency })
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn prepare(&self, sql: &str) -> Result<Statement, SideError> {
        self.session.prepare(sql).await.map_err(|error| self.judge(error))
    }

    /// Looks once.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn query(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SideError> {
        self.session.query(statement, params).await.map_err(|error| self.judge(error))
    }

    /// Looks for exactly one row.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn query_one(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, SideError> {
        self.session.query_one(statement, params).await.map_err(|error| self.judge(error))
    }

    /// What an error, be it of a statement or of reading its rows, says of the database.
    pub fn judge(&self, error: tokio_postgres::Error) -> SideError {
        match self.session.fault(&error) {
            Fault::ConnectionLost | Fault::Retryable => {
                SideError::Down { dependency: self.dependency, cause: error.into() }
            }
            Fault::Unable | Fault::Data | Fault::Other => {
                SideError::Refused { dependency: self.dependency, error }
            }
        }
    }
}
