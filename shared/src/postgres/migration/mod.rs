//! Schema migrations, run by one process at a time.
//!
//! | module | holds |
//! |---|---|
//! | `error` | why a migration did not finish |
//! | `steps` | reads the steps of a migration that runs outside a transaction |
//! | `progress` | tells how far the build of an index is |
//! | `run` | runs a step, also a second time |
//!
//! A migration runs in one transaction, or step by step outside one: then reads and writes go on, whatever the size of
//! the table. The schema history names a migration when all its steps are complete.

mod error;
mod steps;
mod progress;
mod run;

use std::{collections::BTreeSet, time::Duration};

use refinery::{Migration, Runner, Target};
use tokio::time::{Instant, sleep};

pub use self::{
    error::{BadSteps, MigrateError, StepFault},
    progress::Tell,
    run::Tables,
};
use self::{
    run::{STEP_LIMIT, Site},
    steps::{MigrationStep, steps},
};
use super::{
    session::{Session, SessionKind},
    url::{ConnectError, DatabaseUrl},
};

/// The advisory lock under which migrations run; refinery itself has none.
const MIGRATION_LOCK: i64 = 0x7061_726b_6d69_6772;

/// Polled: a session waiting in the server would hold a snapshot, and the build of an index waits for its end.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// How often a migrator tries the lock while another has it.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// How long a migrator waits before it says so.
const LOCK_SILENCE: Duration = Duration::from_secs(1);

/// How long a migrator waits for another: as long as the longest step may take. Then it gives up.
const LOCK_PATIENCE: Duration = STEP_LIMIT;

/// How long a migration in one transaction may take. The server ends each statement after 60 s. At the limit the
/// client closes the session, and the server rolls back the migration.
const TRANSACTION_DEADLINE: Duration = Duration::from_secs(120);

/// Bounds a migration's wait for a lock, so that it never blocks other sessions behind it for long. The server soon
/// notices a killed migrator, also while it builds an index, and releases its lock.
const SESSION: SessionKind = SessionKind {
    step: "migrate",
    options: "-c lock_timeout=5s -c statement_timeout=60s -c client_connection_check_interval=250",
    deadline: Duration::from_secs(65),
};

/// Undoes what steps have set.
const RESET: &str = "RESET ALL";

/// Brings the schema up to date and returns the number of migrations. Waits for another migrator. `tell` receives what
/// the operator of a long migration should know.
///
/// # Errors
/// [`MigrateError`]; the database stays as it was, or as the last good migration or step left it.
pub async fn migrate(
    database: &DatabaseUrl,
    runner: Runner,
    tables: Tables,
    tell: Tell<'_>,
) -> Result<usize, MigrateError> {
    let mut session = database.connect(SESSION).await?;
    take_lock(&session, tell).await?;
    let site = Site { database, tables, tell };
    let mut migrations = runner.get_migrations().clone();
    migrations.sort();
    // Makes the history, and compares it with the migrations of this program.
    let runner = in_transaction(&mut session, runner, Target::Version(0)).await?;
    let history =
        session.lend(TRANSACTION_DEADLINE, async |client| runner.get_applied_migrations_async(client).await);
    let history = history.await.map_err(|_| ConnectError::Deadline)??;
    let history: BTreeSet<_> = history.iter().map(Migration::version).collect();
    let (mut runner, mut applied) = (runner, 0);
    // One by one, so that each has its own deadline.
    for migration in migrations.iter().filter(|migration| !history.contains(&migration.version())) {
        let steps = steps(migration.sql().unwrap_or_default())
            .map_err(|error| MigrateError::Malformed(migration.to_string(), error))?;
        let target = match &steps {
            None => Target::Version(migration.version()),
            Some(steps) => {
                run_steps(&site, &mut session, migration, steps).await?;
                // Only writes the history.
                Target::FakeVersion(migration.version())
            }
        };
        runner = in_transaction(&mut session, runner, target).await?;
        applied += 1;
    }
    Ok(applied)
}

/// Runs a migration in one transaction, or writes the history of one whose steps are complete.
async fn in_transaction(
    session: &mut Session,
    runner: Runner,
    target: Target,
) -> Result<Runner, MigrateError> {
    let runner = runner.set_target(target);
    let run = session.lend(TRANSACTION_DEADLINE, async |client| runner.run_async(client).await);
    run.await.map_err(|_| ConnectError::Deadline)??;
    Ok(runner)
}

/// Runs all steps of a migration.
async fn run_steps(
    site: &Site<'_>,
    session: &mut Session,
    migration: &Migration,
    steps: &[MigrationStep],
) -> Result<(), MigrateError> {
    for (number, step) in (1..).zip(steps) {
        let Err(cause) = site.run(session, step).await else { continue };
        let migration = migration.to_string();
        return Err(match cause {
            StepFault::Sql(_) if session.is_closed() => MigrateError::Lost { migration, number },
            cause => MigrateError::Step { migration, number, cause },
        });
    }
    session.batch_execute(RESET).await.map_err(MigrateError::Start)
}

async fn take_lock(session: &Session, tell: Tell<'_>) -> Result<(), MigrateError> {
    let begun_at = Instant::now();
    let mut has_told = false;
    loop {
        let row = session.query_one(TRY_LOCK, &[&MIGRATION_LOCK]).await.map_err(MigrateError::Start)?;
        if row.try_get(0).map_err(MigrateError::Start)? {
            return Ok(());
        }
        if begun_at.elapsed() > LOCK_PATIENCE {
            return Err(MigrateError::Locked);
        }
        if begun_at.elapsed() > LOCK_SILENCE && !has_told {
            tell("another migration of this database is running: waiting for its end, for up to an hour");
            has_told = true;
        }
        sleep(LOCK_INTERVAL).await;
    }
}
