//! A session for verify's reads. Its errors name the database that failed.

use shared::postgres::{DatabaseUrl, Fault, Session, SessionKind};
use tokio_postgres::{Row, Statement, types::ToSql};

/// Why a read of a database failed.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The database cannot be reached, or did not answer in time.
    #[error("{dependency} is down")]
    Down {
        /// Which database.
        dependency: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused the statement, or a row cannot be read. The cause is a fault in this service, a schema of
    /// another version, or a row that this system did not write.
    #[error("{dependency} cannot be looked at")]
    Refused {
        /// Which database.
        dependency: &'static str,
        /// The database's error.
        #[source]
        error: tokio_postgres::Error,
    },
}

/// A session on a database that verify reads.
#[derive(Debug)]
pub struct SideSession {
    session: Session,
    dependency: &'static str,
}

impl SideSession {
    /// Connects. `dependency` is the database's name in errors.
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

    /// Runs a statement.
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

    /// Runs a statement that returns exactly one row.
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

    /// Classifies an error of a statement or of reading its rows: the database is down, or it refused.
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
