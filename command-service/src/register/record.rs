//! A parking slot as users see it: the slot with its times.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use shared::{slot::Slot, time};

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

impl Serialize for SlotRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ParkingSlot", 6)?;
        object.serialize_field("uuid", &self.slot.uuid)?;
        object.serialize_field("name", self.slot.name.as_str())?;
        object.serialize_field("status", self.slot.status.as_str())?;
        object.serialize_field("version", &self.slot.version.get())?;
        object.serialize_field("created_at", &time::AsText(self.created_at))?;
        object.serialize_field("updated_at", &time::AsText(self.updated_at))?;
        object.end()
    }
}
