//! The commands on a slot.

use uuid::Uuid;

use super::{
    name::SlotName,
    state::{SlotStatus, Version},
};

/// What the caller demands of the current slot (`If-Match`, `--if-version`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Only that the slot exists.
    Exists,
    /// Its version is one of these. An empty list matches no slot.
    VersionIn(Vec<Version>),
}

/// A command to the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Create a slot.
    Create(CreateSlot),
    /// Change a slot's name or status.
    Change(ChangeSlot),
    /// Delete a slot.
    Delete(DeleteSlot),
}

/// Create a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSlot {
    /// A new UUID of version 7.
    pub uuid: Uuid,
    /// Its name.
    pub name: SlotName,
    /// Its first status.
    pub status: SlotStatus,
}

/// Change a slot; `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSlot {
    /// Which slot.
    pub uuid: Uuid,
    /// What must hold for the change.
    pub precondition: Precondition,
    /// The new name.
    pub name: Option<SlotName>,
    /// The new status.
    pub status: Option<SlotStatus>,
}

/// Delete a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSlot {
    /// Which slot.
    pub uuid: Uuid,
    /// What must hold for the delete.
    pub precondition: Precondition,
}

impl Command {
    /// The slot that must already exist; `None` for a create.
    #[must_use]
    pub fn existing_slot(&self) -> Option<Uuid> {
        match self {
            Self::Create(_) => None,
            Self::Change(change) => Some(change.uuid),
            Self::Delete(delete) => Some(delete.uuid),
        }
    }
}
