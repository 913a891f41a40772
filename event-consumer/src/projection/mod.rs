//! The projection: turns events into rows, and notes in the same transaction that they are applied.
//!
//! | module | holds |
//! |---|---|
//! | [`statements`] | every statement of the projection |
//! | [`fault`] | why the replica could not be reached, or a batch could not be applied |
//! | [`session`] | the connection to the replica with its statements |
//! | [`newest_versions`] | the newest version of each slot in a batch |
//! | [`ranges`] | positions as ranges |
//! | [`dead_letters`] | what cannot be applied; shown, retried, discarded |
//! | `store` | stores dead letters, within bounds |
//! | [`repair`] | sets rows to what the log says, after a comparison with it |
//! | [`apply`] | the usual case of the step: one batch, one transaction |
//! | `control` | tells whether the replica refuses one event or all of them |
//! | [`apart`] | the step: takes a refused batch apart |
//! | [`watermark`] | how complete the replica is while no events come |
//!
//! Events may arrive in any order and more than once: only a higher version replaces a row, deletes leave tombstones,
//! and `applied` is a set.

pub mod statements;
pub mod fault;
pub mod session;
pub mod newest_versions;
pub mod ranges;
pub mod dead_letters;
mod store;
pub mod repair;
pub mod apply;
mod control;
pub mod apart;
pub mod watermark;

pub use apart::{apply_batch, apply_refused};
pub use apply::Applied;
pub use dead_letters::{
    open::{DeadLetterSummary, OpenDeadLetter, OpenDeadLetters},
    retry::{Retried, retry},
};
pub use fault::ApplyError;
pub use session::ReplicaSession;
pub use watermark::apply_watermark;

/// The replica's migrations.
#[must_use]
pub fn migrations() -> refinery::Runner {
    embedded::migrations::runner()
}

mod embedded {
    refinery::embed_migrations!("migrations");
}
