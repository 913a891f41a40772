//! The URL of a database, and how to open a session on it.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use super::{
    session::{Session, SessionKind},
    tls::{DatabaseUrlError, read_plain},
};

/// How long connecting may take, log-in included. Short, so that a failure is known within 1 s.
pub const CONNECT_DEADLINE: Duration = Duration::from_millis(800);

/// A database URL with its password, which `Debug` hides.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    schema: Option<&'static str>,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl([hidden])")
    }
}

/// Why there is no connection. Holds no address and no password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server did not answer within [`CONNECT_DEADLINE`].
    #[error("the database did not answer in time")]
    Deadline,
    /// The server or the network refused.
    #[error("the database refused the connection")]
    Refused(#[source] tokio_postgres::Error),
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        Self::parse(text)
    }
}

impl DatabaseUrl {
    /// Parses the URL or key-value string with PostgreSQL's client.
    ///
    /// # Errors
    /// [`DatabaseUrlError`].
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        read_plain(text).map(|config| Self { config, schema: None })
    }

    /// The same database, for sessions that see only `schema`. Their steps show under its name.
    #[must_use]
    pub fn in_schema(&self, schema: &'static str) -> Self {
        Self { config: self.config.clone(), schema: Some(schema) }
    }

    /// The client's settings for sessions of this kind. Only the pool of reads connects with them itself, and bounds
    /// each read; all other code calls [`DatabaseUrl::connect`].
    #[must_use]
    pub fn config(&self, kind: SessionKind) -> Config {
        let mut config = self.config.clone();
        // Compiling a statement costs more than running any of ours. The server would do it after misjudging the size
        // of a one-row table.
        let options = format!("{} -c jit=off", kind.options);
        match self.schema {
            None => config.application_name(kind.step).options(options),
            Some(schema) => config
                .application_name(format!("{schema} {}", kind.step))
                .options(format!("{options} -c search_path={schema}")),
        };
        config
            .connect_timeout(CONNECT_DEADLINE)
            .keepalives_idle(Duration::from_secs(10))
            .tcp_user_timeout(Duration::from_secs(10));
        config
    }

    /// Opens a session. Call it on the main runtime: the connection's task stays on it.
    ///
    /// # Errors
    /// [`ConnectError`], at the latest after [`CONNECT_DEADLINE`].
    pub async fn connect(&self, kind: SessionKind) -> Result<Session, ConnectError> {
        let (client, connection) = timeout(CONNECT_DEADLINE, self.config(kind).connect(NoTls))
            .await
            .map_err(|_| ConnectError::Deadline)?
            .map_err(ConnectError::Refused)?;
        Ok(Session::drive(client, connection, kind.deadline))
    }
}
