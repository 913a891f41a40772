//! What can differ: slots as they are and as they must be, and what is wrong with them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::{
    messages::repair::{RowWriters, SlotRepair, Target},
    slot::{Slot, SlotName, SlotStatus, Version},
};
use uuid::Uuid;

/// A slot's row. A time that no log can hold, which only a manual write leaves, is `None` and equals no
/// expected time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct SlotRow {
    pub version: Version,
    pub status: SlotStatus,
    pub name: SlotName,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// The tombstone of a deleted slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct Tombstone {
    pub version: i64,
    pub deleted_at: Option<Timestamp>,
}

/// The state of a slot that its log demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// The slot never existed.
    Never,
    /// A row, and no tombstone.
    Live(SlotRow),
    /// A tombstone, and no row.
    Deleted(Tombstone),
}

/// A slot as found on the replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSlot {
    /// Its row.
    pub slot: Option<SlotRow>,
    /// Its tombstone.
    pub tombstone: Option<Tombstone>,
    /// Whether the row's document says something else than its columns.
    pub has_false_document: bool,
    /// The transactions that wrote the row and the tombstone.
    pub writers: RowWriters,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The slot's row is not the expected one, or its document is false.
    Differs,
    /// The slot has no row.
    Missing,
    /// A row exists for a slot that was deleted or never existed.
    Invented,
    /// The tombstone is wrong: present for a slot that was not deleted, or absent or different for one that
    /// was.
    Tombstone,
    /// An event was dead-lettered, and nothing has replaced its effect.
    DeadLettered,
    /// The summary is not the count of the rows.
    Summary,
    /// The replica claims to have more than the log.
    Status,
    /// The primary's own row of a slot is not what the log says.
    WriteModel,
    /// The log breaks one of its rules.
    Log,
}

impl Kind {
    /// The name that users see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Invented => "invented",
            Self::Tombstone => "tombstone",
            Self::DeadLettered => "dead-lettered",
            Self::Summary => "summary",
            Self::Status => "status",
            Self::WriteModel => "write model",
            Self::Log => "log",
        }
    }
}

/// A slot whose state on the replica is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDifference {
    /// Which slot.
    pub uuid: Uuid,
    /// What is wrong.
    pub kind: Kind,
    /// The state on the replica.
    pub found: FoundSlot,
    /// The state that must be there; for a dead-lettered event, the state that the event would have made.
    pub expected: SlotState,
    /// The position that was dead-lettered.
    pub position: Option<i64>,
    /// The open dead letter of that position, if there still is one.
    pub dead_letter: Option<i64>,
}

/// A row of the write model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRow {
    /// The columns that the replica has too.
    pub row: SlotRow,
    /// The position of the event that made it.
    pub position: i64,
}

/// Numbers of slots by status.
pub type Counts = BTreeMap<String, i64>;

/// A place where the actual state is not the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A slot on the replica.
    Slot(Box<SlotDifference>),
    /// The summary on the replica.
    Summary {
        /// What it says.
        found: Counts,
        /// The count of the rows.
        expected: Counts,
    },
    /// The highest position that the replica claims.
    Reach {
        /// What it claims.
        found: i64,
        /// The last position of the log.
        end: i64,
    },
    /// Up to when the replica claims to be complete.
    AsOf {
        /// What it claims.
        found: Timestamp,
        /// The latest time that the log allows; `None` before its first event.
        latest: Option<Timestamp>,
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
    /// Its position does not follow directly on the position before it.
    Gap,
    /// Its commit time is not later than that of the event before it.
    Time,
    /// Its version is above 1, and the log has no event before it that it can follow.
    Version,
}

impl SlotState {
    /// Whether the slot on the replica is in exactly this state, with a true document.
    #[must_use]
    pub fn is(&self, found: &FoundSlot) -> bool {
        let (slot, tombstone) = self.parts();
        (slot, tombstone) == (found.slot.as_ref(), found.tombstone.as_ref()) && !found.has_false_document
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

    /// This state as the target of a repair. `None`: no sound log demands this state.
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
    /// The repair that heals it. `None`: no repair can.
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
            Self::Reach { .. } | Self::AsOf { .. } => Kind::Status,
            Self::WriteModel { .. } => Kind::WriteModel,
            Self::Log { .. } => Kind::Log,
        }
    }
}
