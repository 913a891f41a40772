//! A new copy of the replica, made beside it in the same database and put in its place.
//!
//! | module | holds |
//! |---|---|
//! | [`session`] | the connection from which a rebuild is directed, with the lock that only one has |
//! | [`build`] | the schema of the copy, made and removed |
//! | [`look`] | how far the copy is, and whether it may take the replica's place |
//! | [`swap`] | the step: the copy takes its place |
//!
//! The copy has the same tables in the schema `rebuild`. It is filled by the same projection, on sessions to which names
//! mean what that schema holds. The swap moves the replica's tables to the schema `replaced` and the copy's into their
//! place, in one transaction: who reads waits for a moment and then reads the copy; statements that were prepared go on.
//! Whatever ends a rebuild, either the replica is as it was or the copy has taken its place; what is left of either is
//! removed by the next rebuild.

pub mod session;
pub mod build;
pub mod look;
pub mod swap;

pub use look::Look;
pub use session::Director;
use shared::postgres::{ConnectError, migration::MigrateError};
pub use swap::{Counts, Swap};

/// The schema in which the copy is made.
pub const SCHEMA: &str = "rebuild";

/// The statements that are no utilities, for the test that prepares them beside a copy.
pub const STATEMENTS: [&str; 10] = [
    session::TRY_LOCK,
    session::MARKED,
    build::IS_THERE,
    build::IS_MIGRATED,
    build::ADDITIONS,
    look::LOOK,
    swap::KEEP_LETTERS,
    swap::RENUMBER_LETTERS,
    swap::IN_THE_WAY,
    swap::COUNT,
];

/// Why a step of a rebuild failed. The replica is as it was, unless [`Director::has_swapped`] says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The replica is away.
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
