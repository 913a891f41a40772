//! Group commit: everything that writes the primary.
//!
//! | module | holds |
//! |---|---|
//! | [`draft`] | what a batch of commands comes to, decided in memory |
//! | [`idempotency_keys`] | idempotency keys: reserved, kept, found again |
//! | [`session`] | the committer's connection with its statements, and how long the primary may be silent |
//! | [`roundtrip`] | what a failure says of what was done |
//! | `columns` | a batch as columns |
//! | [`commit`] | the step: one batch, one transaction |
//! | [`wake`] | how a commit wakes the relay |
//! | [`committer`] | the loop: takes what waits, has it committed, answers |
//! | [`forget`] | deletes old idempotency keys |
//!
//! Whoever appends to the log first takes the commit lock, as a statement of its own, and holds it until the commit.
//! So positions have no gap and rise in commit order. Order of locks everywhere: slots, idempotency keys,
//! commit lock, then what is inserted: slots, events, keys.

pub mod draft;
pub mod idempotency_keys;
pub mod session;
pub mod roundtrip;
mod columns;
pub mod commit;
pub mod wake;
pub mod committer;
pub mod forget;

/// Every statement of the write model, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 10] = [
    session::LOCK_FREE_SLOTS,
    session::EXISTING_SLOTS,
    session::LOCK_SLOTS,
    idempotency_keys::RESERVE_FREE_KEYS,
    idempotency_keys::RESERVE_KEYS,
    idempotency_keys::KEPT_KEYS,
    session::APPEND,
    idempotency_keys::KEEP_KEYS,
    session::FIND_EVENTS,
    forget::FORGET_KEYS,
];

/// The primary's migrations.
#[must_use]
pub fn migrations() -> refinery::Runner {
    embedded::migrations::runner()
}

mod embedded {
    refinery::embed_migrations!("migrations");
}
