//! Why a comparison has no result.

use super::side_session::SideError;
use crate::relay::publisher::PublishError;

/// The most differences of one comparison; a replica with more is not worth repairing. Also bounds the
/// memory: a difference takes up to about 2 KiB.
pub const DIFFERENCES_MAX: usize = 100_000;

/// Why a comparison has no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A database is down or cannot be read.
    #[error(transparent)]
    Side(#[from] SideError),
    /// Repairs cannot be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Primary and replica are of different epochs, so their positions mean different things.
    #[error("the replica is of another epoch: run event-consumer rebuild")]
    OtherEpoch,
    /// The replica has settled a position that the log does not have.
    #[error(
        "the replica has settled position {reach}, and the log ends at {end}: the primary is not the one that it copies"
    )]
    Ahead {
        /// The replica's highest position.
        reach: i64,
        /// The log's last one.
        end: i64,
    },
    /// The replica did not settle every position in time.
    #[error(
        "the replica lacks position {first} and {more} more of those up to {end}: does its event-consumer run?"
    )]
    Behind {
        /// The first position that is missing.
        first: i64,
        /// How many more are missing.
        more: i64,
        /// The position up to which the replica had to settle everything.
        end: i64,
    },
    /// There are more than [`DIFFERENCES_MAX`] differences.
    #[error("more than {DIFFERENCES_MAX} differences: run event-consumer rebuild")]
    TooMany,
    /// The primary or the replica was replaced during the comparison.
    #[error("primary or replica were replaced meanwhile: run verify again")]
    Replaced,
}
