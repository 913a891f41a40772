//! Forgets old idempotency keys in short steps on its own connection, so that no command waits for it.

use std::time::Duration;

use shared::{
    postgres::{Session, SessionKind},
    process::cause::chain,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::primary::connection::{Primary, PrimaryOpenError};

/// Forgets a few old keys, an hour after the promised 24: a key's time is taken just before its commit, and clocks
/// get adjusted. Several processes may run it at once.
pub const FORGET_KEYS: &str = "
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE kept_at < now() - interval '25 hours'
        ORDER BY kept_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )";

/// How many keys one step forgets: few enough to hold its locks for milliseconds.
const STEP_MAX_KEYS: i64 = 1000;

/// The pause between two searches for old keys.
const INTERVAL: Duration = Duration::from_secs(60);

/// Commits do not wait for the disk, since forgetting a key late does no harm. A primary that answers nothing for
/// 6 s is down; the next try follows a minute later.
const KIND: SessionKind = SessionKind {
    step: "group commit: old keys",
    options: "-c statement_timeout=5s -c lock_timeout=2s -c synchronous_commit=off \
              -c default_transaction_isolation=read\\ committed",
    deadline: Duration::from_secs(6),
};

/// Why keys could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The primary is down.
    #[error(transparent)]
    Open(#[from] PrimaryOpenError),
    /// The primary refused, or the connection was lost.
    #[error("old keys could not be deleted")]
    Sql(#[from] tokio_postgres::Error),
}

/// One step: forgets at most `limit` old keys and returns their number.
///
/// # Errors
/// The primary refused, or the connection was lost.
pub async fn forget_step(primary: &Session, limit: i64) -> Result<u64, tokio_postgres::Error> {
    primary.execute(FORGET_KEYS, &[&limit]).await
}

/// Forgets old keys every minute until `stop` is cancelled.
pub async fn run(primary: Primary, stop: CancellationToken) {
    let forgetting = async {
        loop {
            match forget_all(&primary).await {
                Ok(0) => {}
                Ok(forgotten) => tracing::debug!(forgotten, "old idempotency keys forgotten"),
                // The committer reports a longer outage of the primary.
                Err(error) => {
                    let error = chain(&error);
                    tracing::debug!(error, "old idempotency keys are forgotten later");
                }
            }
            sleep(INTERVAL).await;
        }
    };
    stop.run_until_cancelled(forgetting).await;
}

async fn forget_all(primary: &Primary) -> Result<u64, ForgetError> {
    let session = primary.connect(KIND).await?;
    let mut forgotten = 0;
    loop {
        let step = forget_step(&session, STEP_MAX_KEYS).await?;
        forgotten += step;
        if step < STEP_MAX_KEYS.unsigned_abs() {
            return Ok(forgotten);
        }
    }
}
