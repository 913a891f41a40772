//! Dead letters: what cannot be applied, stored in the transaction that applies the rest of its batch.

pub mod open;
pub mod retry;

use lapin::protocol::basic::AMQPProperties;
use shared::position::Position;

use crate::batch::{Received, ReceivedRepair, Unreadable, storable};

/// A dead letter to write.
#[derive(Clone, Debug)]
pub struct DeadLetter<'d> {
    /// The position that it settles, if any.
    pub position: Option<Position>,
    /// Why it could not be applied.
    pub reason: String,
    body: &'d [u8],
    properties: &'d AMQPProperties,
}

impl<'d> DeadLetter<'d> {
    /// For an event or a message that could not be read.
    #[must_use]
    pub fn unreadable(unreadable: &Unreadable<'d>) -> Self {
        Self {
            position: unreadable.position,
            reason: unreadable.reason.clone(),
            body: unreadable.body,
            properties: unreadable.properties,
        }
    }

    /// For an event that the replica refuses.
    #[must_use]
    pub fn refused(received: &Received<'d>, error: &tokio_postgres::Error) -> Self {
        Self {
            position: Some(received.event.position),
            reason: reason_of(error),
            body: received.json.as_bytes(),
            properties: received.properties,
        }
    }

    /// For a repair that the replica refuses. It settles no position, because a repair has none.
    #[must_use]
    pub fn refused_repair(received: &ReceivedRepair<'d>, error: &tokio_postgres::Error) -> Self {
        Self {
            position: None,
            reason: reason_of(error),
            body: received.body,
            properties: received.properties,
        }
    }
}

/// The replica's reason, as stored with the dead letter.
#[must_use]
pub fn reason_of(error: &tokio_postgres::Error) -> String {
    let reason = error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()));
    storable(&reason)
}

/// A message's properties, from the headers stored with its dead letter.
#[must_use]
pub fn properties_of(headers: &str) -> AMQPProperties {
    serde_json::from_str(headers).unwrap_or_default()
}

/// Dead letters as the columns that the statement takes.
#[derive(Debug, Default)]
pub(super) struct DeadLetterColumns<'d> {
    pub(super) positions: Vec<Option<i64>>,
    pub(super) types: Vec<Option<String>>,
    pub(super) reasons: Vec<String>,
    pub(super) headers: Vec<String>,
    pub(super) bodies: Vec<&'d [u8]>,
}

impl<'d> DeadLetterColumns<'d> {
    pub(super) fn of(letters: &[DeadLetter<'d>]) -> Self {
        let mut columns = Self::default();
        for letter in letters {
            columns.positions.push(letter.position.map(Position::get));
            columns.types.push(letter.properties.kind().as_ref().map(|kind| storable(kind.as_str())));
            columns.reasons.push(letter.reason.clone());
            // The column is `json`, not `jsonb`: it takes an escaped NUL.
            columns
                .headers
                .push(serde_json::to_string(letter.properties).unwrap_or_else(|_| "{}".to_owned()));
            columns.bodies.push(letter.body);
        }
        columns
    }
}
