//! One exchange with the primary: how long it may take, and what its failure says of what was done.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use shared::postgres::Fault;
use tokio::{
    pin,
    time::{Instant, timeout_at},
};
use tokio_postgres::error::{DbError, Severity};

use super::{draft::Draft, idempotency_keys::KEYS_CONSTRAINT, session::PrimarySession};

/// How long the primary may say nothing in an exchange before the connection is given up: longer than the server's own
/// bounds on a statement, which end it first unless the server hangs. A batch is up to four statements, so a slow server
/// may take longer for all of it, and is not cut off: it would have to begin again.
const SILENCE_MAX: Duration = Duration::from_millis(3_500);

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection was lost before the write was sent, or before its commit was reached: nothing happened.
    #[error("the connection was lost before the write was sent")]
    Interrupted,
    /// The connection was lost after the write was sent: it may have been committed, or may yet be.
    #[error("the connection was lost after the write was sent")]
    Unsettled(Box<Draft>),
    /// Rolled back because of others; the same may succeed when tried again.
    #[error("the primary rolled the batch back because of others")]
    Retryable(#[source] tokio_postgres::Error),
    /// Rolled back because the primary cannot work now.
    #[error("the primary cannot write now")]
    Unable(#[source] tokio_postgres::Error),
    /// Rolled back because of a command in it.
    #[error("the primary refused a command of the batch")]
    Culprit(#[source] tokio_postgres::Error),
}

/// Why an exchange with the primary brought no result.
#[derive(Debug)]
pub(super) enum WriteFault {
    /// What was sent last may or may not have been done.
    ConnectionLost,
    /// The connection is lost as well, and nothing was done.
    Undone,
    /// The transaction was rolled back.
    RolledBack(tokio_postgres::Error),
}

impl WriteFault {
    /// What an error says that came in answer to a statement before the COMMIT. Statements are carried out one after the
    /// other, so that the COMMIT was not reached, or had nothing to commit.
    pub(super) fn before_commit(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            None => Self::ConnectionLost,
            Some(db) if ends_session(db) => Self::Undone,
            Some(_) => Self::RolledBack(error),
        }
    }

    /// What an error says that came in answer to the COMMIT. A session that ends there may have committed.
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
        // A key that was kept without being reserved is there when the batch is decided anew.
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

/// When the primary last answered something in an exchange.
pub(super) struct LastAnswer(Mutex<Instant>);

impl LastAnswer {
    pub(super) fn begin() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(super) async fn note<T>(&self, answer: impl Future<Output = T>) -> T {
        let answer = answer.await;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        answer
    }

    fn silent_until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) + SILENCE_MAX
    }

    /// Carries out the exchange, as long as the primary goes on answering.
    pub(super) async fn bound<T>(
        &self,
        work: impl Future<Output = Result<T, WriteFault>>,
    ) -> Result<T, WriteFault> {
        pin!(work);
        // Each time round something has been answered, of which there are only a few.
        loop {
            let until = self.silent_until();
            match timeout_at(until, &mut work).await {
                Ok(done) => return done,
                Err(_) if self.silent_until() > until => {}
                Err(_) => return Err(WriteFault::ConnectionLost),
            }
        }
    }
}

/// Bounds an exchange and tells a lost connection from a rolled-back transaction.
pub(super) async fn exchange<T>(
    primary: &PrimarySession,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, WriteFault> {
    exchange_with(primary, &LastAnswer::begin(), work).await
}

pub(super) async fn exchange_with<T>(
    primary: &PrimarySession,
    last_answer: &LastAnswer,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, WriteFault> {
    let judged = async {
        work.await.map_err(|error| match Fault::of(&error, &primary.session) {
            Fault::ConnectionLost => WriteFault::ConnectionLost,
            _ => WriteFault::RolledBack(error),
        })
    };
    last_answer.bound(judged).await
}
