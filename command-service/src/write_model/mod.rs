//! Group commit: every write to the primary.
//!
//! | module | holds |
//! |---|---|
//! | [`draft`] | the decisions on a batch of commands, made in memory |
//! | [`idempotency_keys`] | idempotency keys: reserved, kept, found again |
//! | [`session`] | the committer's connection with its statements, and how long the primary may be silent |
//! | [`roundtrip`] | what a failure says about the write |
//! | `columns` | a batch as columns |
//! | [`commit`] | the step: one batch, one transaction |
//! | [`wake`] | how a commit wakes the relay |
//! | [`committer`] | the loop: takes commands, commits them, answers |
//! | [`forget`] | deletes old idempotency keys |
//!
//! Every append to the log first takes the commit lock, in its own statement, and holds it until the commit.
//! So positions have no gap and rise in commit order. Lock order everywhere: slots, idempotency keys,
//! commit lock, then the inserts: slots, events, keys.

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
