//! Runs the steps of a migration outside a transaction.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    super::{fault::Fault, session::Session, url::DatabaseUrl},
    error::StepFault,
    progress::{Tell, tell_progress},
    steps::{MigrationStep, NewIndex},
};

/// How long one step may take. The server ends the statement then, and the next run builds the index again or goes on
/// with the batches.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(3600);

/// When the client closes the session of a server that has not ended the statement by itself.
const STEP_DEADLINE: Duration = Duration::from_secs(3610);

/// An index waits for every transaction that began before it. Nobody waits behind it but other changes of the schema,
/// so its wait for locks has no other bound.
const LONG: &str = "SET statement_timeout = '1h'; SET lock_timeout = 0";
const USUAL: &str = "RESET statement_timeout; RESET lock_timeout";

const INDEX: &str = "
    SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relname = $1 AND relnamespace = current_schema()::regnamespace";

const PID: &str = "SELECT pg_backend_pid()";

/// How often a batch is tried when another transaction is in its way, and the pause between two tries.
const TRIES_MAX: u32 = 20;
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Whether somebody uses the tables that a migration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Reads and writes go on meanwhile.
    InUse,
    /// The migrations have just made them: an index is built at once, and waits for nobody.
    New,
}

/// The database of a migration, and how to change it.
pub(super) struct Site<'s> {
    pub(super) database: &'s DatabaseUrl,
    pub(super) tables: Tables,
    pub(super) tell: Tell<'s>,
}

impl Site<'_> {
    /// Runs a step, which may have run before.
    ///
    /// # Errors
    /// [`StepFault`]; the next run takes the step up again.
    pub(super) async fn run(&self, session: &mut Session, step: &MigrationStep) -> Result<(), StepFault> {
        match step {
            MigrationStep::Statements(sql) => Ok(session.batch_execute(sql).await?),
            MigrationStep::Index(index) if self.tables == Tables::New => {
                Ok(session.batch_execute(&index.at_once()).await?)
            }
            MigrationStep::Index(index) => self.build(session, index).await,
            MigrationStep::Batches(sql) => batches(session, sql).await,
        }
    }

    /// Builds the index beside reads and writes. First drops what an interrupted build has left.
    async fn build(&self, session: &mut Session, index: &NewIndex) -> Result<(), StepFault> {
        match is_valid(session, &index.name).await? {
            Some(true) => return Ok(()),
            Some(false) => {
                (self.tell)(&format!("index {}: dropping what an interrupted build has left", index.name));
                self.long(session, &index.name, &format!("DROP INDEX CONCURRENTLY {}", index.name)).await?;
            }
            None => {}
        }
        self.long(session, &index.name, &index.sql).await?;
        match is_valid(session, &index.name).await? {
            Some(true) => Ok(()),
            Some(false) | None => Err(StepFault::NoIndex(index.name.clone())),
        }
    }

    /// Runs a statement that may take an hour, and tells how far it is.
    async fn long(&self, session: &mut Session, index: &str, sql: &str) -> Result<(), StepFault> {
        let pid = session.query_one(PID, &[]).await?.try_get(0)?;
        session.batch_execute(LONG).await?;
        let running = session.lend(STEP_DEADLINE, async |client| client.batch_execute(sql).await);
        let ended = tokio::select! {
            ended = running => ended,
            never = tell_progress(self.database, index, pid, self.tell) => match never {},
        };
        match ended {
            Ok(Ok(())) => Ok(session.batch_execute(USUAL).await?),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StepFault::TooLong),
        }
    }
}

/// Whether the index is valid; `None` if there is none.
async fn is_valid(session: &Session, name: &str) -> Result<Option<bool>, StepFault> {
    let row = session.query_opt(INDEX, &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Runs the statement for one batch after the other, until nothing is left.
async fn batches(session: &Session, sql: &str) -> Result<(), StepFault> {
    let begun_at = Instant::now();
    let statement = session.prepare(sql).await?;
    let mut last = String::new();
    let mut tries = 1;
    while begun_at.elapsed() < STEP_LIMIT {
        match session.query_opt(&statement, &[&last]).await {
            Ok(row) => {
                let Some(next) = row.map(|row| row.try_get(0)).transpose()?.flatten() else { return Ok(()) };
                if next == last {
                    return Err(StepFault::NoAdvance(last));
                }
                (last, tries) = (next, 1);
            }
            Err(error) if tries < TRIES_MAX && session.fault(&error) == Fault::Retryable => {
                tries += 1;
                sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StepFault::TooLong)
}
