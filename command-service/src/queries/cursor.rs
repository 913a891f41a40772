//! A place in the order of creation.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use uuid::Uuid;

use crate::register::record::SlotRecord;

/// The first byte of a cursor. It lets the service recognise a later form.
const FORM: u8 = 1;

/// A place in the order of creation (`created_at`, `uuid`), just behind a slot. It refers to no row, so it survives the
/// slot's delete, a rebuild of the replica and a restart of the service. It works with any filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The creation time of the slot before this place.
    pub created_at: Timestamp,
    /// The slot before this place.
    pub uuid: Uuid,
}

impl Cursor {
    /// The place before every slot.
    pub const START: Self = Self { created_at: Timestamp::UNIX_EPOCH, uuid: Uuid::nil() };

    /// The place behind `record`.
    #[must_use]
    pub fn behind(record: &SlotRecord) -> Self {
        Self { created_at: record.created_at, uuid: record.slot.uuid }
    }

    /// The cursor as users carry it: opaque, URL-safe.
    #[must_use]
    pub fn encode(self) -> String {
        let mut bytes = [0; 25];
        bytes[0] = FORM;
        bytes[1..9].copy_from_slice(&self.created_at.as_microsecond().to_be_bytes());
        bytes[9..].copy_from_slice(self.uuid.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reverses [`Cursor::encode`]; `None` for any other text.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 25] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        if bytes[0] != FORM {
            return None;
        }
        let micros = i64::from_be_bytes(bytes[1..9].try_into().ok()?);
        // No slot is older than `START`. An earlier time might be outside PostgreSQL's range, which begins later.
        let created_at =
            Timestamp::from_microsecond(micros).ok().filter(|at| *at >= Self::START.created_at)?;
        Some(Self { created_at, uuid: Uuid::from_slice(&bytes[9..]).ok()? })
    }
}
