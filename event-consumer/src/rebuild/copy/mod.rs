//! A new copy of the replica, made beside it in the same database and put in its place.
//!
//! | module | holds |
//! |---|---|
//! | [`fault`] | why a step failed |
//! | [`director`] | the connection from which a rebuild is directed, with the lock that only one has |
//! | [`build`] | the schema of the copy, made and removed |
//! | [`look`] | how far the copy is, and whether it may take the replica's place |
//! | [`swap`] | the step: the copy takes its place |
//!
//! The copy has the same tables in the schema `rebuild`. It is filled by the same projection, on sessions to which names
//! mean what that schema holds. The swap moves the replica's tables to the schema `replaced` and the copy's into their
//! place, in one transaction: who reads waits for a moment and then reads the copy; statements that were prepared go on.
//! Whatever ends a rebuild, either the replica is as it was or the copy has taken its place; what is left of either is
//! removed by the next rebuild.

pub mod fault;
pub mod director;
pub mod build;
pub mod look;
pub mod swap;

pub use director::{Director, SCHEMA};
pub use fault::StepError;
pub use look::CopyStatus;
pub use swap::{Swap, SwapCounts};

/// The statements that are no utilities, for the test that prepares them beside a copy.
pub const STATEMENTS: [&str; 10] = [
    director::TRY_LOCK,
    director::MARKED,
    build::IS_THERE,
    build::IS_MIGRATED,
    build::ADDITIONS,
    look::LOOK,
    swap::KEEP_LETTERS,
    swap::RENUMBER_LETTERS,
    swap::IN_THE_WAY,
    swap::COUNT,
];
