//! Schema migrations, run by one process at a time.

use std::time::Duration;

use refinery::{Runner, Target};
use tokio::time::{Instant, sleep};

use super::{
    session::{Session, SessionKind},
    url::{ConnectError, DatabaseUrl},
};

/// The advisory lock under which migrations run; refinery itself has none.
const MIGRATION_LOCK: i64 = 0x7061_726b_6d69_6772;

/// Polled: a session waiting in the server would hold a snapshot, and others wait for its end.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// How often a migrator tries the lock while another has it.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// How long a migrator waits for another: longer than several migrations take. Then it gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// How long one migration may take. The server ends each statement after 60 s. At the limit the client closes the
/// session, and the server rolls back the migration.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(120);

/// Bounds a migration's wait for a lock, so that it never blocks other sessions behind it for long.
const SESSION: SessionKind = SessionKind {
    step: "migrate",
    options: "-c lock_timeout=5s -c statement_timeout=60s",
    deadline: Duration::from_secs(65),
};

/// Why the migration did not finish.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The lock query failed, or the connection was lost.
    #[error("the migration could not start")]
    Start(#[source] tokio_postgres::Error),
    /// Another migrator has had the lock for too long.
    #[error("another migration of this database has run for 5 minutes")]
    Locked,
    /// A migration failed; it was rolled back.
    #[error("a migration failed and was rolled back")]
    Failed(#[from] refinery::Error),
}

/// Brings the schema up to date and returns the number of migrations. Waits for another migrator.
///
/// # Errors
/// [`MigrateError`]; the database stays as it was, or as the last good migration left it.
pub async fn migrate(database: &DatabaseUrl, runner: Runner) -> Result<usize, MigrateError> {
    let mut session = database.connect(SESSION).await?;
    take_lock(&session).await?;
    // One by one, so that each has its own deadline.
    let mut versions: Vec<_> = runner.get_migrations().iter().map(|migration| migration.version()).collect();
    versions.sort_unstable();
    let (mut runner, mut applied) = (runner, 0);
    for version in versions {
        runner = runner.set_target(Target::Version(version));
        let run = session.lend(MIGRATION_DEADLINE, async |client| runner.run_async(client).await);
        let report = run.await.map_err(|_| ConnectError::Deadline)??;
        applied += report.applied_migrations().len();
    }
    Ok(applied)
}

async fn take_lock(session: &Session) -> Result<(), MigrateError> {
    let begun_at = Instant::now();
    loop {
        let row = session.query_one(TRY_LOCK, &[&MIGRATION_LOCK]).await.map_err(MigrateError::Start)?;
        if row.try_get(0).map_err(MigrateError::Start)? {
            return Ok(());
        }
        if begun_at.elapsed() > LOCK_PATIENCE {
            return Err(MigrateError::Locked);
        }
        sleep(LOCK_INTERVAL).await;
    }
}
