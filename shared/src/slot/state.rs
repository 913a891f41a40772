//! The state of a slot: its status, its version, and the whole.

use std::fmt;

use uuid::Uuid;

use super::name::SlotName;

/// Whether and how a slot can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotStatus {
    /// Free to take.
    Available,
    /// Empty, but not free to take.
    Reserved,
    /// A vehicle stands on it.
    Occupied,
    /// Out of use.
    Blocked,
}

impl SlotStatus {
    /// Every status, in the order in which they are listed to users.
    pub const ALL: [Self; 4] = [Self::Available, Self::Reserved, Self::Occupied, Self::Blocked];

    /// The status as a word in JSON, in SQL and on the command line.
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

/// The version of a slot: 1 when created, one more with each change and with its delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(i64);

impl Version {
    /// The version of a slot that was just created.
    pub const FIRST: Self = Self(1);

    /// The version with this number; `None` below 1.
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

/// A slot, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The identity, which the service makes when it creates the slot.
    pub uuid: Uuid,
    /// The name that users see; not unique.
    pub name: SlotName,
    /// Whether it can be used.
    pub status: SlotStatus,
    /// Its version.
    pub version: Version,
}
