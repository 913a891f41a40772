//! Receipts: what a caller hands back to see at least as much as before. They are opaque to users. Every instance reads
//! the receipts of every other.

use std::hash::Hasher;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::position::Position;
use siphasher::sip::SipHasher13;
use uuid::Uuid;

/// Bytes of a receipt: form, epoch, two positions, check.
const LENGTH: usize = 1 + 16 + 8 + 8 + 4;

/// Where the check begins. It covers all bytes before it, so that a damaged receipt does not pass for another.
const CHECK_AT: usize = LENGTH - 4;

const FORM_WRITE: u8 = 1;
const FORM_READ: u8 = 2;

/// The receipt of a command: the positions of its events in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteReceipt {
    /// The epoch in which the positions count.
    pub epoch: Uuid,
    /// The position of the first event.
    pub first: Position,
    /// The position of the last event; all positions between belong to the same command.
    pub last: Position,
}

/// The receipt of a read: the read may have shown any event up to this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReceipt {
    /// The epoch in which the position counts; `None` if the replica had applied nothing.
    pub epoch: Option<Uuid>,
    /// The highest position that the read may have shown.
    pub reach: i64,
}

/// What a caller may hand back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The receipt of a command.
    Write(WriteReceipt),
    /// The receipt of a read.
    Read(ReadReceipt),
}

impl WriteReceipt {
    /// The receipt of one event.
    #[must_use]
    pub fn of_one(epoch: Uuid, position: Position) -> Self {
        Self { epoch, first: position, last: position }
    }

    /// The receipt as users carry it.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(FORM_WRITE, self.epoch, self.first.get(), self.last.get())
    }
}

impl ReadReceipt {
    /// The receipt as users carry it.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(FORM_READ, self.epoch.unwrap_or_default(), 0, self.reach)
    }
}

impl Receipt {
    /// Reverses `encode`; `None` for any other text.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        if bytes[CHECK_AT..] != check(&bytes[..CHECK_AT]) {
            return None;
        }
        let epoch = Uuid::from_slice(&bytes[1..17]).ok()?;
        let first = i64::from_be_bytes(bytes[17..25].try_into().ok()?);
        let last = i64::from_be_bytes(bytes[25..CHECK_AT].try_into().ok()?);
        match bytes[0] {
            FORM_WRITE if first <= last => Some(Self::Write(WriteReceipt {
                epoch,
                first: Position::new(first)?,
                last: Position::new(last)?,
            })),
            FORM_READ if first == 0 && last >= 0 => {
                let epoch = (!epoch.is_nil()).then_some(epoch);
                Some(Self::Read(ReadReceipt { epoch, reach: last }))
            }
            _ => None,
        }
    }

    /// The epoch in which the position counts; `None` for a receipt that demands nothing.
    #[must_use]
    pub fn epoch(&self) -> Option<Uuid> {
        match self {
            Self::Write(write) => Some(write.epoch),
            Self::Read(read) => read.epoch,
        }
    }

    /// The position up to which the replica must be complete.
    #[must_use]
    pub fn position(&self) -> i64 {
        match self {
            Self::Write(write) => write.last.get(),
            Self::Read(read) => read.reach,
        }
    }
}

fn encode(form: u8, epoch: Uuid, first: i64, last: i64) -> String {
    let mut bytes = [0; LENGTH];
    bytes[0] = form;
    bytes[1..17].copy_from_slice(epoch.as_bytes());
    bytes[17..25].copy_from_slice(&first.to_be_bytes());
    bytes[25..CHECK_AT].copy_from_slice(&last.to_be_bytes());
    let check = check(&bytes[..CHECK_AT]);
    bytes[CHECK_AT..].copy_from_slice(&check);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Detects damage, not forgery: a receipt lets its holder read nothing more than without it.
fn check(bytes: &[u8]) -> [u8; 4] {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    [a, b, c, d]
}
