//! The projection: events into rows, in one transaction with the note that they have been applied.
//!
//! | module | holds |
//! |---|---|
//! | [`session`] | the connection to the replica with its statements |
//! | [`winners`] | one winner per slot |
//! | [`ranges`] | positions as ranges |
//! | [`apply`] | the step: one batch, one transaction |
//! | [`repair`] | rows made as somebody says who has compared them with the log |
//! | [`missing`] | which positions are missing |
//! | [`watermark`] | how complete the replica is while no events come |
//! | [`dead_letters`] | what cannot be applied, set aside |
//! | [`open_letters`] | what was set aside, shown and discarded |
//! | [`mod@retry`] | the step: one dead letter, applied after all |
//! | [`rebuild`] | a new copy of the replica, made beside it and put in its place |
//!
//! Nothing rests on the order in which events come, nor on each coming once: a row is replaced only by a higher
//! version, deletes leave tombstones, and `applied` is a set.

pub mod session;
pub mod winners;
pub mod ranges;
pub mod apply;
pub mod repair;
pub mod missing;
pub mod watermark;
pub mod dead_letters;
pub mod open_letters;
pub mod retry;
pub mod rebuild;

pub use apply::{Applied, ApplyError, apply_batch};
pub use missing::{Missing, SeekerSession};
pub use open_letters::{OpenLetter, OpenLetters, Summary};
pub use retry::{Retried, retry};
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
