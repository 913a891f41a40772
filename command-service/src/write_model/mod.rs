//! Group commit: everything that writes the primary; and what it has written, looked at again.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | idempotency keys: claimed, kept, found again |
//! | [`draft`] | what a batch of commands comes to, decided in memory |
//! | [`commit`] | the step: one batch, one transaction |
//! | `exchange` | how long the primary may be silent, and what a failure says of what was done |
//! | [`committer`] | the loop: takes what waits, has it committed, answers |
//! | [`session`] | the committer's connection with its statements |
//! | [`primary`] | the way to the primary: no session is used before the epoch is known to hold |
//! | [`epoch`] | the life of the primary: noted, compared, given anew |
//! | [`forget`] | deletes old idempotency keys |
//! | [`inspect`] | the log and the write model, looked at by who compares them |
//!
//! Whoever appends to the log first takes the commit lock, as a statement of its own, and holds it until the commit.
//! So positions have no gap and rise in commit order. Order of locks everywhere: slots, idempotency keys,
//! commit lock, then what is inserted: slots, events, keys.

pub mod keys;
pub mod draft;
pub mod session;
pub mod commit;
mod exchange;
pub mod committer;
pub mod primary;
pub mod epoch;
pub mod forget;
pub mod inspect;

/// The primary's migrations.
#[must_use]
pub fn migrations() -> refinery::Runner {
    embedded::migrations::runner()
}

mod embedded {
    refinery::embed_migrations!("migrations");
}
