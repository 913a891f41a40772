//! Builds a new copy of the replica beside it in the same database, and puts the copy in the replica's place.
//!
//! | module | holds |
//! |---|---|
//! | [`fault`] | why a step failed |
//! | [`director`] | the connection from which a rebuild is directed, with the lock that only one has |
//! | [`build`] | the schema of the copy, made and removed |
//! | [`look`] | how far the copy is, and whether it may take the replica's place |
//! | [`swap`] | the step: the copy takes its place |
//!
//! The copy has the same tables in the schema `rebuild`. The same projection fills it, on sessions whose search path
//! is that schema. In one transaction the swap moves the replica's tables to the schema `replaced` and the copy's
//! into their place. Readers wait a moment and then read the copy; their prepared statements stay valid.
//!
//! However a rebuild ends, either the replica is as it was or the copy has taken its place. The next rebuild removes
//! what is left of the other.

pub mod fault;
pub mod director;
pub mod build;
pub mod look;
pub mod swap;

pub use director::{Director, SCHEMA};
pub use fault::StepError;
pub use look::CopyStatus;
pub use swap::{Swap, SwapCounts};

/// Every statement that can be prepared, for the test that prepares them beside a copy.
pub const STATEMENTS: [&str; 11] = [
    director::TRY_LOCK,
    director::MARKED,
    build::IS_THERE,
    build::HAS_VERSIONS,
    build::IS_MIGRATED,
    build::ADDITIONS,
    look::LOOK,
    swap::KEEP_LETTERS,
    swap::RENUMBER_LETTERS,
    swap::IN_THE_WAY,
    swap::COUNT,
];
