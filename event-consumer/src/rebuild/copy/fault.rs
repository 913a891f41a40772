//! Why a step of a rebuild failed.

use shared::postgres::{ConnectError, migration::MigrateError};

/// Why a step of a rebuild failed. The replica is unchanged, unless [`has_swapped`](super::Director::has_swapped)
/// returns true.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The replica is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The replica refused, or the connection was lost.
    #[error("the replica cannot be rebuilt now")]
    Sql(#[from] tokio_postgres::Error),
    /// The replica did not answer in time.
    #[error("the replica did not answer in time")]
    Deadline,
    /// The migrations could not make the copy's tables.
    #[error("the tables of the new copy could not be made")]
    Migrate(#[from] MigrateError),
    /// Another rebuild has the lock.
    #[error("another rebuild of this replica is at work")]
    Another,
    /// Another rebuild has run meanwhile and removed this one's copy.
    #[error("another rebuild has removed the new copy")]
    Removed,
    /// The replica's migrations are not those of this program.
    #[error("the replica's schema is not that of this program: run event-consumer migrate")]
    NotMigrated,
    /// The rebuild needs a schema name that a schema of other origin already has.
    #[error("the schema `{0}` is not of a rebuild: rename or drop it")]
    Stranger(&'static str),
    /// The swap would lose objects that were added to the replica's tables.
    #[error("this hangs on the replica's tables and would be lost, so remove it first: {0}")]
    Additions(String),
}
