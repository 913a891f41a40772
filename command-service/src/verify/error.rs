//! Why nothing can be said of a replica.

use super::side_session::SideError;
use crate::relay::publisher::PublishError;

/// One more, and the replica is not worth healing. Also bounds the memory: a difference takes up to about 2 KiB.
pub const DIFFERENCES_MAX: usize = 100_000;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A database is down, or does not let itself be looked at.
    #[error(transparent)]
    Side(#[from] SideError),
    /// Repairs cannot be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The positions of the two mean different things.
    #[error("the replica is of another epoch: run event-consumer rebuild")]
    OtherEpoch,
    /// The replica has what the log does not have.
    #[error(
        "the replica has settled position {reach}, and the log ends at {end}: the primary is not the one that it copies"
    )]
    Ahead {
        /// The replica's highest position.
        reach: i64,
        /// The log's last one.
        end: i64,
    },
    /// The replica is not level, and did not become so in time.
    #[error(
        "the replica lacks position {first} and {more} more of those up to {end}: does its event-consumer run?"
    )]
    Behind {
        /// The first position that is missing.
        first: i64,
        /// How many more are.
        more: i64,
        /// Up to where it was to be level.
        end: i64,
    },
    /// There is no end of differences.
    #[error("more than {DIFFERENCES_MAX} differences: run event-consumer rebuild")]
    TooMany,
    /// One of the two became another while it was looked at.
    #[error("primary or replica were replaced meanwhile: run verify again")]
    Replaced,
}
