//! Why a migration did not finish.

use super::super::url::ConnectError;

/// A migration outside a transaction is not written as one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadSteps {
    /// SQL stands before the first step.
    #[error("`{0}` stands before the first step")]
    BeforeSteps(String),
    /// A line looks like a mark and is none.
    #[error("`{0}` is no mark of a step")]
    NoMark(String),
    /// A migration in one transaction cannot build an index concurrently.
    #[error("CONCURRENTLY needs a migration outside a transaction")]
    Concurrently,
    /// The step names no index, or would fail where the index exists.
    #[error("an index is built by CREATE INDEX CONCURRENTLY IF NOT EXISTS and its name, alone in its step")]
    Index,
}

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
    #[error("another migration of this database has run for an hour")]
    Locked,
    /// A migration failed; it was rolled back.
    #[error("a migration failed and was rolled back")]
    Failed(#[from] refinery::Error),
    /// The migration is written in the wrong way.
    #[error("migration {0} is not well formed")]
    Malformed(String, #[source] BadSteps),
    /// The connection was lost during a step.
    #[error("the connection was lost in step {number} of migration {migration}: migrate again to go on")]
    Lost {
        /// The migration's version and name.
        migration: String,
        /// The step's number, from 1.
        number: usize,
    },
    /// The database refused a step. The steps before it stay.
    #[error("step {number} of migration {migration} failed: migrate again to go on from there")]
    Step {
        /// The migration's version and name.
        migration: String,
        /// The step's number, from 1.
        number: usize,
        /// What is wrong.
        #[source]
        cause: StepFault,
    },
}

impl MigrateError {
    /// Whether the database is down, or the connection to it was lost.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Lost { .. })
    }

    /// Whether the same migration may succeed soon.
    #[must_use]
    pub fn may_succeed_later(&self) -> bool {
        self.is_down() || matches!(self, Self::Start(_) | Self::Locked)
    }
}

/// Why a step did not finish.
#[derive(Debug, thiserror::Error)]
pub enum StepFault {
    /// The database refused.
    #[error("the database refused")]
    Sql(#[from] tokio_postgres::Error),
    /// The step took too long.
    #[error("it took longer than an hour")]
    TooLong,
    /// The index has the name of something else.
    #[error("there is no valid index `{0}` afterwards: does something else have its name?")]
    NoIndex(String),
    /// A batch returned the same key again.
    #[error("its batches do not advance beyond `{0}`")]
    NoAdvance(String),
}
