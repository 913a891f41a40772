//! How a replica asks for missing positions. A relay answers from the log, into that replica's own queue.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{position::Position, replica_name::Recipient};

/// The most positions that one request asks for.
pub const REPLAY_MAX_POSITIONS: i64 = 10_000;

/// The content type of a request.
pub const REPLAY_CONTENT_TYPE: &str = "application/json";

/// A request for a range of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// The recipient whose queue gets the events.
    pub replica: Recipient,
    /// The first requested position.
    pub from: Position,
    /// The last requested position; the range has at most [`REPLAY_MAX_POSITIONS`].
    pub to: Position,
}

/// Why bytes are not a request.
#[derive(Debug, thiserror::Error)]
pub enum ReplayRequestError {
    /// Not JSON, or a member is absent or of another type.
    #[error("not a request: {0}")]
    Json(#[from] serde_json::Error),
    /// A member has a value that is not allowed.
    #[error("{0}")]
    Member(&'static str),
}

#[derive(Serialize, Deserialize)]
struct WireRequest {
    replica: String,
    from: i64,
    to: i64,
}

impl ReplayRequest {
    /// A request for these positions. `None` if the range is empty, too long or not of positions.
    #[must_use]
    pub fn new(replica: Recipient, positions: RangeInclusive<i64>) -> Option<Self> {
        let (from, to) = (Position::new(*positions.start())?, Position::new(*positions.end())?);
        (from <= to && to.get() - from.get() < REPLAY_MAX_POSITIONS).then_some(Self { replica, from, to })
    }

    /// The request as a message's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire =
            WireRequest { replica: self.replica.to_string(), from: self.from.get(), to: self.to.get() };
        #[expect(
            clippy::expect_used,
            reason = "writing to memory cannot fail, and every member is text or a number"
        )]
        serde_json::to_vec(&wire).expect("a request is always JSON")
    }

    /// Reads a message's body.
    ///
    /// # Errors
    /// [`ReplayRequestError`] names the first fault.
    pub fn decode(body: &[u8]) -> Result<Self, ReplayRequestError> {
        let wire: WireRequest = serde_json::from_slice(body)?;
        let replica = wire
            .replica
            .parse()
            .map_err(|_| ReplayRequestError::Member("replica: not the name of a replica"))?;
        Self::new(replica, wire.from..=wire.to)
            .ok_or(ReplayRequestError::Member("from, to: must be 1 to 10000 positions"))
    }
}
