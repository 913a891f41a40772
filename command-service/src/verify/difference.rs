//! What can be different: slots as they are and as they must be, and what is wrong with them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::{
    messages::repair::{RowWriters, SlotRepair, Target},
    slot::{Slot, SlotName, SlotStatus, Version},
};
use uuid::Uuid;

/// A slot's row. A time that no log can hold (somebody wrote it by hand) is none, and equals nothing that must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct SlotRow {
    pub version: Version,
    pub status: SlotStatus,
    pub name: SlotName,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// What is kept of a deleted slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct Tombstone {
    pub version: i64,
    pub deleted_at: Option<Timestamp>,
}

/// A slot as its log says that it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// There never was such a slot.
    Never,
    /// A row, and no tombstone.
    Live(SlotRow),
    /// A tombstone, and no row.
    Deleted(Tombstone),
}

/// A slot as it was found on the replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSlot {
    /// Its row.
    pub slot: Option<SlotRow>,
    /// Its tombstone.
    pub tombstone: Option<Tombstone>,
    /// Which transactions wrote these two.
    pub writers: RowWriters,
}

/// What is wrong with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A slot's row is another.
    Differs,
    /// A slot has no row.
    Missing,
    /// A row of a slot that was deleted, or never was.
    Invented,
    /// A tombstone of a slot that was not deleted, or none or another one of a slot that was.
    Tombstone,
    /// An event was dead-lettered, and nothing has taken its place.
    DeadLettered,
    /// The summary is not what counting gives.
    Summary,
    /// The primary's own row of a slot is not what the log says.
    WriteModel,
    /// The log is not sound.
    Log,
}

impl Kind {
    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Invented => "invented",
            Self::Tombstone => "tombstone",
            Self::DeadLettered => "dead-lettered",
            Self::Summary => "summary",
            Self::WriteModel => "write model",
            Self::Log => "log",
        }
    }
}

/// A slot that is not on the replica what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDifference {
    /// Which slot.
    pub uuid: Uuid,
    /// What is wrong.
    pub kind: Kind,
    /// What is there.
    pub found: FoundSlot,
    /// What must be there; for an event that was dead-lettered, what it would have made.
    pub expected: SlotState,
    /// The position that was dead-lettered.
    pub position: Option<i64>,
    /// The open dead letter of that position, as long as there is one.
    pub dead_letter: Option<i64>,
}

/// A row of the write model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRow {
    /// What the replica has of it too.
    pub row: SlotRow,
    /// The position of the event that made it.
    pub position: i64,
}

/// Numbers of slots by status.
pub type Counts = BTreeMap<String, i64>;

/// Anything that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A slot on the replica.
    Slot(Box<SlotDifference>),
    /// The summary on the replica.
    Summary {
        /// What it says.
        found: Counts,
        /// What counting gives.
        expected: Counts,
    },
    /// A slot on the primary.
    WriteModel {
        /// Which slot.
        uuid: Uuid,
        /// What is there.
        found: Option<Box<WriteRow>>,
        /// What the log says.
        expected: Option<Box<WriteRow>>,
    },
    /// An event.
    Log {
        /// Its position.
        position: i64,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The position after the last one is not this.
    Gap,
    /// It was not committed after the event before it.
    Time,
    /// It is not its slot's first, and what must come before it is not there.
    Version,
}

impl SlotState {
    /// Whether this is what was found.
    #[must_use]
    pub fn is(&self, found: &FoundSlot) -> bool {
        let (slot, tombstone) = self.parts();
        (slot, tombstone) == (found.slot.as_ref(), found.tombstone.as_ref())
    }

    /// The row and the tombstone that must be there.
    #[must_use]
    pub fn parts(&self) -> (Option<&SlotRow>, Option<&Tombstone>) {
        match self {
            Self::Never => (None, None),
            Self::Live(row) => (Some(row), None),
            Self::Deleted(tombstone) => (None, Some(tombstone)),
        }
    }

    /// The same for a repair. `None`: no log that is sound says this.
    fn target(&self, uuid: Uuid) -> Option<Target> {
        match self {
            Self::Never => Some(Target::Absent),
            Self::Live(SlotRow { version, status, name, created_at, updated_at }) => Some(Target::Live {
                slot: Slot { uuid, name: name.clone(), status: *status, version: *version },
                created_at: (*created_at)?,
                updated_at: (*updated_at)?,
            }),
            Self::Deleted(Tombstone { version, deleted_at }) => {
                Some(Target::Deleted { version: Version::new(*version)?, deleted_at: (*deleted_at)? })
            }
        }
    }
}

impl SlotDifference {
    /// What would put it right. `None`: no repair can.
    #[must_use]
    pub fn repair(&self) -> Option<SlotRepair> {
        if self.kind == Kind::DeadLettered {
            return None;
        }
        let target = self.expected.target(self.uuid)?;
        Some(SlotRepair { uuid: self.uuid, found: self.found.writers, target })
    }
}

impl Difference {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Slot(slot) => slot.kind,
            Self::Summary { .. } => Kind::Summary,
            Self::WriteModel { .. } => Kind::WriteModel,
            Self::Log { .. } => Kind::Log,
        }
    }
}
