//! The projection: events into rows, in one transaction with the note that they have been applied.
//!
//! | module | holds |
//! |---|---|
//! | [`statements`] | every statement of the projection |
//! | [`fault`] | why the replica could not be reached, or a batch not be applied |
//! | [`session`] | the connection to the replica with its statements |
//! | [`newest_versions`] | one winner per slot |
//! | [`ranges`] | positions as ranges |
//! | [`dead_letters`] | what cannot be applied, dead-lettered; shown, retried, discarded |
//! | [`repair`] | rows made as somebody says who has compared them with the log |
//! | [`apply`] | the step: one batch, one transaction |
//! | [`watermark`] | how complete the replica is while no events come |
//!
//! Nothing rests on the order in which events come, nor on each coming once: a row is replaced only by a higher
//! version, deletes leave tombstones, and `applied` is a set.

pub mod statements;
pub mod fault;
pub mod session;
pub mod newest_versions;
pub mod ranges;
pub mod dead_letters;
pub mod repair;
pub mod apply;
pub mod watermark;

pub use apply::{Applied, apply_batch};
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
