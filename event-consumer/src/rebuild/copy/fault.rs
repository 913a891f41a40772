//! Why a step of a rebuild failed.

use shared::postgres::{ConnectError, migration::MigrateError};

/// Why a step of a rebuild failed. The replica is as it was, unless [`has_swapped`](super::Director::has_swapped) says otherwise.
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
    /// The tables of the copy could not be made.
    #[error("the tables of the new copy could not be made")]
    Migrate(#[from] MigrateError),
    /// Another rebuild has the lock.
    #[error("another rebuild of this replica is at work")]
    Another,
    /// Another rebuild has been here meanwhile.
    #[error("another rebuild has removed the new copy")]
    Removed,
    /// The replica does not have the tables of this program.
    #[error("the replica's schema is not that of this program: run event-consumer migrate")]
    NotMigrated,
    /// A schema that is needed is somebody else's.
    #[error("the schema `{0}` is not of a rebuild: rename or drop it")]
    Stranger(&'static str),
    /// Something hangs on the replica's tables that would be lost.
    #[error("this hangs on the replica's tables and would be lost, so remove it first: {0}")]
    Additions(String),
}
