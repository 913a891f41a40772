//! Access to the primary: this room opens every session on it.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | opens sessions; checks the epoch before a session is used |
//! | [`epoch`] | one incarnation of the primary's log: noted, compared, renewed |
//! | [`clock`] | the primary's clock |
//! | [`commit_lock`] | the lock of every transaction that appends to the log |
//! | [`log_end`] | where the log ends |
//! | [`replica_word`] | what the replica knows of the log |

pub mod clock;
pub mod commit_lock;
pub mod replica_word;
pub mod epoch;
pub mod connection;
pub mod log_end;

/// Every statement of this room except the migrations. A test prepares them against the primary's schema.
pub const STATEMENTS: [&str; 5] =
    [epoch::STATE, epoch::NOTE, epoch::RENEW, log_end::END, log_end::LAST_EVENT];

/// The statement that this room sends to the replica. A test prepares it against the replica's schema.
pub const REPLICA_STATEMENTS: [&str; 1] = [replica_word::APPLIED];
