//! The rules of a parking slot: what may be asked of it, what happens then, and what it is afterwards.
//!
//! Everything here is pure. [`decide`] answers a command with an event or a rejection; [`evolve`] says what an
//! event makes of a slot. Times and positions are not known before the commit and therefore absent.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// The longest name of a slot, in Unicode scalar values after trimming and normalisation to NFC.
pub const NAME_MAX_CHARS: usize = 200;

/// The name of a slot: trimmed, in NFC, 1 to [`NAME_MAX_CHARS`] scalar values, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotName(String);

/// Why a text is not a slot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More than [`NAME_MAX_CHARS`] scalar values.
    #[error("must have at most 200 characters")]
    TooLong,
    /// A control character (Unicode category Cc), NUL among them.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl SlotName {
    /// Trims and normalises `text`, and accepts it if what is left is a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > NAME_MAX_CHARS {
            return Err(NameError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter);
        }
        Ok(Self(name))
    }

    /// A name that was read from one of the databases: what stands there is the name, whoever wrote it.
    pub(crate) fn as_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a slot can be used, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotStatus {
    /// Free to take.
    Available,
    /// Free, but kept for somebody.
    Reserved,
    /// A vehicle stands on it.
    Occupied,
    /// Out of use.
    Blocked,
}

impl SlotStatus {
    /// Every status, in the order in which they are listed to users.
    pub const ALL: [Self; 4] = [Self::Available, Self::Reserved, Self::Occupied, Self::Blocked];

    /// The word for it in JSON, in SQL and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Reserved => "reserved",
            Self::Occupied => "occupied",
            Self::Blocked => "blocked",
        }
    }

    /// The status that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for SlotStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often a slot has been changed: 1 when created, one more with each change and with its delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(i64);

impl Version {
    /// The version of a slot that was just created.
    pub const FIRST: Self = Self(1);

    /// The version with this number, if it is one (at least 1).
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (number >= 1).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A slot as its rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The identity, made by the service when the slot was created.
    pub uuid: Uuid,
    /// What people call it; not unique.
    pub name: SlotName,
    /// Whether it can be used.
    pub status: SlotStatus,
    /// How often it has been changed.
    pub version: Version,
}

/// What the caller demands of the slot as it is now (`If-Match`, `--if-version`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing beyond that the slot exists.
    Exists,
    /// Its version is one of these. An empty list matches no slot.
    VersionIn(Vec<Version>),
}

/// What is asked of the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a slot.
    Create(CreateSlot),
    /// Change a slot's name or status.
    Change(ChangeSlot),
    /// Remove a slot.
    Delete(DeleteSlot),
}

/// Make a slot.
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
    /// What must hold for the change to be made.
    pub precondition: Precondition,
    /// The new name.
    pub name: Option<SlotName>,
    /// The new status.
    pub status: Option<SlotStatus>,
}

/// Remove a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSlot {
    /// Which slot.
    pub uuid: Uuid,
    /// What must hold for it to be removed.
    pub precondition: Precondition,
}

impl Command {
    /// The slot that must exist for the command to make sense; `None` for a create.
    #[must_use]
    pub fn existing_slot(&self) -> Option<Uuid> {
        match self {
            Self::Create(_) => None,
            Self::Change(change) => Some(change.uuid),
            Self::Delete(delete) => Some(delete.uuid),
        }
    }
}

/// Which fields a change touched; at least one.
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

    /// The opposite of [`Changed::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Name, Self::Status, Self::NameAndStatus].into_iter().find(|changed| changed.as_str() == text)
    }
}

/// What happened to a slot. It carries the whole slot as it is afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotEvent {
    /// It was made.
    Created(Slot),
    /// It was changed.
    Updated {
        /// The slot after the change.
        slot: Slot,
        /// What is different.
        changed: Changed,
    },
    /// It was removed.
    Deleted {
        /// Which slot.
        uuid: Uuid,
        /// The version of the delete itself: one more than the slot's last.
        version: Version,
    },
}

impl SlotEvent {
    /// The slot to which it happened.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Created(slot) | Self::Updated { slot, .. } => slot.uuid,
            Self::Deleted { uuid, .. } => *uuid,
        }
    }

    /// The slot's version after it.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Created(slot) | Self::Updated { slot, .. } => slot.version,
            Self::Deleted { version, .. } => *version,
        }
    }
}

/// Why a command is refused. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such slot.
    #[error("there is no such slot")]
    NotFound,
    /// The slot exists, but not in a version that the caller demanded.
    #[error("the slot is at version {current}")]
    VersionMismatch {
        /// The slot's version.
        current: Version,
    },
    /// A create names a slot that is there already.
    #[error("the slot exists already")]
    AlreadyExists,
}

/// Answers a command on a slot in this state: `None` is a change that would change nothing.
///
/// # Errors
/// The [`Rejection`], decided in this order: whether the slot exists, whether the precondition holds.
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

/// What `event` leaves of its slot: the slot as it is afterwards, or nothing. An event carries the whole slot, so
/// the state before it is not needed.
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
