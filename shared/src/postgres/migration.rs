//! Schema migrations, run by one process at a time.

use refinery::Runner;

use super::{ConnectError, DatabaseUrl, SessionKind};

/// The advisory lock under which migrations run; refinery itself has none.
const MIGRATION_LOCK: i64 = 0x7061_726b_6d69_6772;

/// Migrations wait at most this long for a lock, so that they never queue in front of everybody else for long.
const SESSION: SessionKind =
    SessionKind { step: "migrate", options: "-c lock_timeout=5s -c statement_timeout=60s" };

/// Why the schema is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The lock was not to be had, or the connection was lost.
    #[error("the migration could not start")]
    Start(#[source] tokio_postgres::Error),
    /// A migration failed; it was rolled back.
    #[error("a migration failed and was rolled back")]
    Failed(#[from] refinery::Error),
}

/// Brings the schema up to date and says how many migrations that took.
///
/// # Errors
/// [`MigrateError`]; the database is then as it was, or as the last good migration left it.
pub async fn migrate(database: &DatabaseUrl, runner: Runner) -> Result<usize, MigrateError> {
    let mut session = database.connect(SESSION).await?;
    session.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.map_err(MigrateError::Start)?;
    let report = runner.run_async(&mut *session).await?;
    Ok(report.applied_migrations().len())
}
