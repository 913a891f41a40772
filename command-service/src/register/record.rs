//! A parking slot as users see it: the slot with its times.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use shared::{document, slot::Slot};

/// A slot with the commit times of its create and of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRecord {
    /// The slot itself.
    pub slot: Slot,
    /// The commit time of its create.
    pub created_at: Timestamp,
    /// The commit time of this version.
    pub updated_at: Timestamp,
}

impl SlotRecord {
    /// Reads the slot's document.
    ///
    /// # Errors
    /// It is not the document of a slot.
    pub fn of_document(document: &[u8]) -> Result<Self, serde_json::Error> {
        let (slot, created_at, updated_at) = document::decode(document)?;
        Ok(Self { slot, created_at, updated_at })
    }
}

impl Serialize for SlotRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        document::serialize(&self.slot, self.created_at, self.updated_at, serializer)
    }
}
