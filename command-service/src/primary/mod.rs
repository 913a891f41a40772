//! The way to the primary: every session on it is opened here.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | no session is used before the epoch is known to hold |
//! | [`epoch`] | one incarnation of the primary's log: noted, compared, renewed |
//! | [`clock`] | the primary's clock |
//! | [`commit_lock`] | the lock of whoever appends to the log |
//! | [`log_end`] | where the log ends |
//! | [`replica_word`] | what the replica says of the log |

pub mod clock;
pub mod commit_lock;
pub mod replica_word;
pub mod epoch;
pub mod connection;
pub mod log_end;

/// Every statement of this room but the migrations, for the test that prepares them against the primary's schema.
pub const STATEMENTS: [&str; 5] =
    [epoch::STATE, epoch::NOTE, epoch::RENEW, log_end::END, log_end::LAST_EVENT];

/// The statement that this room asks the replica, for the test that prepares it against the replica's schema.
pub const REPLICA_STATEMENTS: [&str; 1] = [replica_word::APPLIED];
