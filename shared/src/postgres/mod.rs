//! A connection to PostgreSQL that says when it is lost.

mod tls;
pub mod columns;
pub mod migration;

use std::{
    fmt,
    ops::Deref,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::poll_fn;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, Socket,
    error::{Severity, SqlState},
    tls::NoTlsStream,
};
use tokio_util::sync::CancellationToken;

pub use self::tls::DatabaseUrlError;

/// How long connecting may take, log-in included. Short, so that a dependency which is down is known to be within 1 s.
pub const CONNECT_DEADLINE: Duration = Duration::from_millis(800);

/// Where a database is, password included; `Debug` hides the password.
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

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        Self::parse(text)
    }
}

/// How a step of the flow uses its connection.
#[derive(Clone, Copy, Debug)]
pub struct SessionKind {
    /// The step's name, which `pg_stat_activity` shows as `application_name`.
    pub step: &'static str,
    /// Server settings for the session, in the form `-c name=value`.
    pub options: &'static str,
}

/// Why there is no connection. Holds no address and no password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server did not answer within [`CONNECT_DEADLINE`].
    #[error("the database did not answer in time")]
    Deadline,
    /// The server, or the way to it, said no.
    #[error("the database refused the connection")]
    Refused(#[source] tokio_postgres::Error),
}

impl DatabaseUrl {
    /// Takes the URL (or key-value string) if PostgreSQL's client understands it.
    ///
    /// # Errors
    /// [`DatabaseUrlError`].
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        tls::read_plain(text).map(|config| Self { config, schema: None })
    }

    /// The same database, for sessions to which names mean what this schema holds, and nothing else. Their steps show
    /// under its name.
    #[must_use]
    pub fn in_schema(&self, schema: &'static str) -> Self {
        Self { config: self.config.clone(), schema: Some(schema) }
    }

    /// The client's settings for sessions of this kind.
    #[must_use]
    pub fn config(&self, kind: SessionKind) -> Config {
        let mut config = self.config.clone();
        // Compiling a statement costs more than running any of ours, and wrong guesses at the size of a table of one
        // row are enough for the server to do it.
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

    /// Opens a connection. Must be called on the main runtime: the connection's task stays on it.
    ///
    /// # Errors
    /// [`ConnectError`], at the latest after [`CONNECT_DEADLINE`].
    pub async fn connect(&self, kind: SessionKind) -> Result<Session, ConnectError> {
        let (client, connection) = timeout(CONNECT_DEADLINE, self.config(kind).connect(NoTls))
            .await
            .map_err(|_| ConnectError::Deadline)?
            .map_err(ConnectError::Refused)?;
        Ok(Session::drive(client, connection))
    }
}

/// A connection and the task that drives it. Dropping it closes the socket at once, also when the server hangs.
#[derive(Debug)]
pub struct Session {
    client: Client,
    lost: CancellationToken,
    notified: Arc<Notify>,
    payload: Arc<Mutex<String>>,
    driver: JoinHandle<()>,
}

impl Session {
    fn drive(client: Client, mut connection: Connection<Socket, NoTlsStream>) -> Self {
        let lost = CancellationToken::new();
        let notified = Arc::new(Notify::new());
        let payload = Arc::new(Mutex::new(String::new()));
        let (on_end, on_notification, newest) = (lost.clone(), Arc::clone(&notified), Arc::clone(&payload));
        let driver = tokio::spawn(async move {
            let _lost = on_end.drop_guard();
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    AsyncMessage::Notification(notification) => {
                        notification
                            .payload()
                            .clone_into(&mut newest.lock().unwrap_or_else(PoisonError::into_inner));
                        on_notification.notify_one();
                    }
                    AsyncMessage::Notice(notice) => {
                        tracing::debug!(message = notice.message(), "notice from the database")
                    }
                    _ => {}
                }
            }
        });
        Self { client, lost, notified, payload, driver }
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Wakes for each notification of a channel on which the session listens; several may wake once.
    #[must_use]
    pub fn notified(&self) -> Arc<Notify> {
        Arc::clone(&self.notified)
    }

    /// What the newest notification said; empty before the first.
    #[must_use]
    pub fn newest_payload(&self) -> String {
        self.payload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

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
