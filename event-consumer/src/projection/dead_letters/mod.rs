//! Dead letters: what cannot be applied, stored in the transaction that applies the rest of its batch.
//!
//! | module | holds |
//! |---|---|
//! | [`open`] | lists, shows and discards them |
//! | [`retry`] | applies one of them again |

pub mod open;
pub mod retry;

use jiff::Timestamp;
use lapin::protocol::basic::AMQPProperties;
use sha2::{Digest, Sha256};
use shared::position::Position;

use crate::batch::{Received, ReceivedRepair, Unreadable, storable};

/// The most bytes of a body that are stored. A message that the relay makes has at most 128 KiB, and fits the slack.
pub const STORED_WHOLE_MAX_BYTES: usize = 256 * 1024;

/// How many bytes of a larger body are stored, with its length and its SHA-256.
pub const STORED_CUT_BYTES: usize = 64 * 1024;

/// The most bytes of a message's properties and headers that are stored; larger ones are left out.
const HEADERS_MAX_BYTES: usize = 64 * 1024;

/// A dead letter to write.
#[derive(Clone, Debug)]
pub struct DeadLetter<'d> {
    /// The position that it settles, if any.
    pub position: Option<Position>,
    /// The commit time of its event, if it could be read.
    pub committed_at: Option<Timestamp>,
    /// Why it could not be applied.
    pub reason: String,
    /// SHA-256 of the whole body.
    pub fingerprint: Vec<u8>,
    /// What is stored of the body.
    pub(super) body: &'d [u8],
    /// The length of the whole body, if not all of it is stored.
    pub(super) whole_bytes: Option<i64>,
    /// The type that the message names.
    pub(super) kind: Option<String>,
    /// The message's properties and headers, as JSON.
    pub(super) headers: String,
}

impl<'d> DeadLetter<'d> {
    /// For an event or a message that could not be read.
    #[must_use]
    pub fn unreadable(unreadable: &Unreadable<'d>) -> Self {
        let letter = Self::of(unreadable.body, unreadable.properties, unreadable.reason.clone());
        match unreadable.is_unsigned {
            true => letter.without_content(),
            false => Self { position: unreadable.position, ..letter },
        }
    }

    /// For an event that the replica refuses.
    #[must_use]
    pub fn refused(received: &Received<'d>, error: &tokio_postgres::Error) -> Self {
        Self {
            position: Some(received.event.position),
            committed_at: Some(received.event.committed_at),
            ..Self::of(received.json.as_bytes(), received.properties, reason_of(error))
        }
    }

    /// For a repair that the replica refuses. It settles no position, because a repair has none.
    #[must_use]
    pub fn refused_repair(received: &ReceivedRepair<'d>, error: &tokio_postgres::Error) -> Self {
        Self::of(received.body, received.properties, reason_of(error))
    }

    fn of(body: &'d [u8], properties: &AMQPProperties, reason: String) -> Self {
        let is_cut = body.len() > STORED_WHOLE_MAX_BYTES;
        // The column is `json`, not `jsonb`: it takes an escaped NUL.
        let headers = serde_json::to_string(properties).ok();
        Self {
            position: None,
            committed_at: None,
            reason,
            fingerprint: Sha256::digest(body).to_vec(),
            body: if is_cut { &body[..STORED_CUT_BYTES] } else { body },
            whole_bytes: is_cut.then(|| i64::try_from(body.len()).unwrap_or(i64::MAX)),
            kind: properties.kind().as_ref().map(|kind| storable(kind.as_str())),
            headers: headers
                .filter(|text| text.len() <= HEADERS_MAX_BYTES)
                .unwrap_or_else(|| "{}".to_owned()),
        }
    }

    /// The least that says what was dead-lettered, for a replica that refuses the dead letter itself.
    pub(super) fn reduced(&self, error: &tokio_postgres::Error) -> Self {
        let reason = format!("{}; the replica refused the dead letter: {}", self.reason, reason_of(error));
        Self { reason: storable(&reason), ..self.clone() }.without_content()
    }

    /// Keeps the fingerprint and the length, and nothing that the sender could choose freely.
    fn without_content(self) -> Self {
        let bytes = i64::try_from(self.body.len()).unwrap_or(i64::MAX);
        let whole_bytes = Some(self.whole_bytes.unwrap_or(bytes));
        Self { body: &[], whole_bytes, kind: None, headers: "{}".to_owned(), ..self }
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
