//! A session that ends itself when the server falls silent.
//!
//! A frozen server still acknowledges TCP, and its own timeouts stop with it. So the client bounds each call by its
//! own deadline, and code outside this folder cannot get a client without one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::poll_fn;
use tokio::{
    sync::Notify,
    time::{error::Elapsed, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, Error, NoTls, Row, Socket, Statement, ToStatement, tls::NoTlsStream,
};
use tokio_util::sync::CancellationToken;

use super::{
    deadline::AnswerDeadline,
    fault::Fault,
    transaction::{Param, Transaction},
};

/// How long the request to end a statement may take: as long as a connection may.
const CANCEL_DEADLINE: Duration = Duration::from_millis(800);

/// How a step uses its connection.
#[derive(Clone, Copy, Debug)]
pub struct SessionKind {
    /// The step's name, which `pg_stat_activity` shows as `application_name`.
    pub step: &'static str,
    /// Server settings of the session, as `-c name=value`.
    pub options: &'static str,
    /// How long the server may be silent while a call waits; then the session closes. Longer than the server's
    /// `statement_timeout`, which ends a statement first unless the server hangs.
    pub deadline: Duration,
}

/// A connection and the task that drives it. Dropping it closes the socket at once, even if the server hangs.
///
/// When the server is silent for the kind's deadline, the session closes, and each call ends as on any lost
/// connection. Calls leave in the order of their first polls, so several may be in progress. A call behind others
/// counts its time from the last answer.
#[derive(Debug)]
pub struct Session {
    client: Client,
    deadline: AnswerDeadline,
    lost: CancellationToken,
    notified: Arc<Notify>,
    payload: Arc<Mutex<String>>,
}

impl Session {
    pub(super) fn drive(
        client: Client,
        mut connection: Connection<Socket, NoTlsStream>,
        deadline: Duration,
    ) -> Self {
        let lost = CancellationToken::new();
        let notified = Arc::new(Notify::new());
        let payload = Arc::new(Mutex::new(String::new()));
        let (on_end, on_notification, newest) = (lost.clone(), Arc::clone(&notified), Arc::clone(&payload));
        let driver = tokio::spawn(async move {
            let _lost = on_end.drop_guard();
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    AsyncMessage::Notification(notification) => {
                        notification.payload().clone_into(&mut lock(&newest));
                        on_notification.notify_one();
                    }
                    AsyncMessage::Notice(notice) => {
                        tracing::debug!(message = notice.message(), "notice from the database")
                    }
                    _ => {}
                }
            }
        });
        Self { client, deadline: AnswerDeadline::new(deadline, driver), lost, notified, payload }
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.deadline.bound(self.client.prepare(sql)).await
    }

    /// Returns the rows of a statement.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn query<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.deadline.bound(self.client.query(statement, params)).await
    }

    /// Returns the only row of a statement.
    ///
    /// # Errors
    /// The server refused, the connection was lost, or there is not exactly one row.
    pub async fn query_one<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Row, Error> {
        self.deadline.bound(self.client.query_one(statement, params)).await
    }

    /// Returns the row of a statement, if any.
    ///
    /// # Errors
    /// The server refused, the connection was lost, or there are several rows.
    pub async fn query_opt<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, Error> {
        self.deadline.bound(self.client.query_opt(statement, params)).await
    }

    /// Runs a statement; returns the number of rows.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn execute<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<u64, Error> {
        self.deadline.bound(self.client.execute(statement, params)).await
    }

    /// Runs several statements, sent as one message. One deadline covers them all.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.deadline.bound(self.client.batch_execute(sql)).await
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let open = self.deadline.bound(self.client.transaction()).await?;
        Ok(Transaction::new(open, &self.deadline))
    }

    /// Begins a transaction that may write, even if the session's default is read-only.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn writing_transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let open = self.deadline.bound(self.client.build_transaction().read_only(false).start()).await?;
        Ok(Transaction::new(open, &self.deadline))
    }

    /// Asks the server to end the statement in progress, which then fails; the caller still awaits that failure. A server
    /// that cannot be reached within 0.8 s is not asked.
    pub async fn cancel(&self) {
        let cancelling = self.client.cancel_token();
        // A failure leaves the statement to its own time limit.
        let _ = timeout(CANCEL_DEADLINE, cancelling.cancel_query(NoTls)).await;
    }

    /// What an error of this session says about the next step.
    #[must_use]
    pub fn fault(&self, error: &Error) -> Fault {
        Fault::of(error, &self.client)
    }

    /// Whether the connection is lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Wakes on notifications of the session's channels; one wake may stand for several.
    #[must_use]
    pub fn notified(&self) -> Arc<Notify> {
        Arc::clone(&self.notified)
    }

    /// The payload of the newest notification; empty before the first.
    #[must_use]
    pub fn newest_payload(&self) -> String {
        lock(&self.payload).clone()
    }

    /// Lends the client to a library that needs one. `deadline` covers all its work.
    ///
    /// # Errors
    /// The work took too long: the session closes.
    pub(super) async fn lend<T>(
        &mut self,
        deadline: Duration,
        work: impl AsyncFnOnce(&mut Client) -> T,
    ) -> Result<T, Elapsed> {
        let done = timeout(deadline, work(&mut self.client)).await;
        if done.is_err() {
            self.deadline.end_connection();
        }
        done
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.deadline.end_connection();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
