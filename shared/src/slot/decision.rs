//! The decision: what a command does to a slot, and what slot an event leaves.

use uuid::Uuid;

use super::{
    command::{Command, CreateSlot, Precondition},
    name::SlotName,
    state::{Slot, SlotStatus, Version},
};

/// The fields that a change touched; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Only the name.
    Name,
    /// Only the status.
    Status,
    /// Both.
    NameAndStatus,
}

impl Changed {
    fn between(before: &Slot, name: &SlotName, status: SlotStatus) -> Option<Self> {
        match (before.name != *name, before.status != status) {
            (true, true) => Some(Self::NameAndStatus),
            (true, false) => Some(Self::Name),
            (false, true) => Some(Self::Status),
            (false, false) => None,
        }
    }

    /// The fields' names, joined by commas.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Status => "status",
            Self::NameAndStatus => "name,status",
        }
    }

    /// The inverse of [`Changed::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Name, Self::Status, Self::NameAndStatus].into_iter().find(|changed| changed.as_str() == text)
    }
}

/// What happened to a slot. A create and an update carry the whole slot as it is afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotEvent {
    /// The slot was created.
    Created(Slot),
    /// The slot was updated.
    Updated {
        /// The slot after the change.
        slot: Slot,
        /// The fields that differ.
        changed: Changed,
    },
    /// The slot was deleted.
    Deleted {
        /// Which slot.
        uuid: Uuid,
        /// The version of the delete itself: one more than the slot's last.
        version: Version,
    },
}

impl SlotEvent {
    /// The slot that the event is about.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Created(slot) | Self::Updated { slot, .. } => slot.uuid,
            Self::Deleted { uuid, .. } => *uuid,
        }
    }

    /// The slot's version after the event.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Created(slot) | Self::Updated { slot, .. } => slot.version,
            Self::Deleted { version, .. } => *version,
        }
    }
}

/// Why a command is rejected. The slot is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such slot.
    #[error("there is no such slot")]
    NotFound,
    /// The slot exists, but not in a version that the caller demands.
    #[error("the slot is at version {current}")]
    VersionMismatch {
        /// The slot's version.
        current: Version,
    },
    /// The create names a slot that exists already.
    #[error("the slot exists already")]
    AlreadyExists,
}

/// Answers a command on a slot in this state. `Ok(None)`: the change would change nothing.
///
/// # Errors
/// [`Rejection`]: `decide` checks first that the slot exists, then that the precondition holds.
pub fn decide(state: Option<&Slot>, command: &Command) -> Result<Option<SlotEvent>, Rejection> {
    match command {
        Command::Create(create) => match state {
            Some(_) => Err(Rejection::AlreadyExists),
            None => Ok(Some(SlotEvent::Created(created(create)))),
        },
        Command::Change(change) => {
            let slot = admitted(state, &change.precondition)?;
            let name = change.name.as_ref().unwrap_or(&slot.name);
            let status = change.status.unwrap_or(slot.status);
            Ok(Changed::between(slot, name, status).map(|changed| SlotEvent::Updated {
                slot: Slot { uuid: slot.uuid, name: name.clone(), status, version: slot.version.next() },
                changed,
            }))
        }
        Command::Delete(delete) => {
            let slot = admitted(state, &delete.precondition)?;
            Ok(Some(SlotEvent::Deleted { uuid: slot.uuid, version: slot.version.next() }))
        }
    }
}

/// The slot that a create makes.
#[must_use]
pub fn created(create: &CreateSlot) -> Slot {
    Slot { uuid: create.uuid, name: create.name.clone(), status: create.status, version: Version::FIRST }
}

/// The slot after `event`; `None` after a delete. An event carries the whole slot, so the state before it is
/// not needed.
#[must_use]
pub fn evolve(event: &SlotEvent) -> Option<&Slot> {
    match event {
        SlotEvent::Created(slot) | SlotEvent::Updated { slot, .. } => Some(slot),
        SlotEvent::Deleted { .. } => None,
    }
}

fn admitted<'s>(state: Option<&'s Slot>, precondition: &Precondition) -> Result<&'s Slot, Rejection> {
    let slot = state.ok_or(Rejection::NotFound)?;
    match precondition {
        Precondition::Exists => Ok(slot),
        Precondition::VersionIn(versions) if versions.contains(&slot.version) => Ok(slot),
        Precondition::VersionIn(_) => Err(Rejection::VersionMismatch { current: slot.version }),
    }
}
