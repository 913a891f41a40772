//! Repairs of a replica. `verify` compares the replica with the log, then sends to its queue how slots must
//! be.
//!
//! A repair is a compare-and-swap: it says what `verify` found, and changes only what is still exactly that.
//! So it may arrive late, twice or between events. If anything was written since, the repair changes nothing,
//! and `verify` checks again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::wire::MESSAGE_MAX_BYTES;
use crate::{
    slot::{Slot, SlotName, SlotStatus, Version},
    time,
};

/// The type property of a repair message.
pub const REPAIR_TYPE: &str = "parking.repair";

/// The content type of a repair message.
pub const REPAIR_CONTENT_TYPE: &str = "application/json";

/// The most slots that one message repairs. Its body has at most [`MESSAGE_MAX_BYTES`], like that of a
/// message of events.
pub const REPAIR_MAX_SLOTS: usize = 256;

/// What to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The epoch of the log that demands this.
    pub epoch: Uuid,
    /// Slots, at most [`REPAIR_MAX_SLOTS`].
    pub slots: Vec<SlotRepair>,
    /// Whether the replica recounts the summary from the rows.
    pub summary: bool,
}

/// How one slot must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRepair {
    /// Which slot.
    pub uuid: Uuid,
    /// What `verify` found. If this has changed since, the repair changes nothing.
    pub found: RowWriters,
    /// How it must be.
    pub target: Target,
}

/// What `verify` found of a slot: the transactions of the replica that wrote its row and its tombstone
/// (`xmin`). Any later write, by an event or by hand, has another `xmin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowWriters {
    /// The writer of its row; `None` if there was no row.
    pub slot: Option<i64>,
    /// The writer of its tombstone; `None` if there was no tombstone.
    pub tombstone: Option<i64>,
}

/// How a slot must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This row, and no tombstone.
    Live {
        /// The slot.
        slot: Slot,
        /// Commit time of its create.
        created_at: Timestamp,
        /// Commit time of this version.
        updated_at: Timestamp,
    },
    /// No row, and this tombstone.
    Deleted {
        /// The version of the delete.
        version: Version,
        /// Commit time of the delete.
        deleted_at: Timestamp,
    },
    /// Neither: the slot never existed.
    Absent,
}

/// Why bytes are not a repair.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Not JSON, or a member is absent, unknown or of another type.
    #[error("not a repair: {0}")]
    Json(#[from] serde_json::Error),
    /// A member has a value that is not allowed.
    #[error("{0}")]
    Member(&'static str),
}

// Unknown members are an error: one might change what must be done to the row.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRepair {
    epoch: Uuid,
    slots: Vec<WireSlotRepair>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    summary: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSlotRepair {
    uuid: Uuid,
    found: RowWriters,
    target: WireTarget,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireTarget {
    Slot(WireSlot),
    Deleted(WireTombstone),
    Absent,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSlot {
    name: String,
    status: String,
    version: i64,
    #[serde(with = "time")]
    created_at: Timestamp,
    #[serde(with = "time")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTombstone {
    version: i64,
    #[serde(with = "time")]
    deleted_at: Timestamp,
}

impl Repair {
    /// A repair of these slots, which may be too many for one message.
    #[must_use]
    pub fn of_slots(epoch: Uuid, slots: Vec<SlotRepair>) -> Self {
        Self { epoch, slots, summary: false }
    }

    /// A repair of the summary.
    #[must_use]
    pub fn of_summary(epoch: Uuid) -> Self {
        Self { epoch, slots: Vec::new(), summary: true }
    }

    /// The bodies of the messages that carry this repair: each has at most `slots_max` slots and
    /// [`MESSAGE_MAX_BYTES`].
    #[must_use]
    pub fn encode(&self, slots_max: usize) -> Vec<Vec<u8>> {
        let slots_max = slots_max.clamp(1, REPAIR_MAX_SLOTS);
        let mut bodies = Vec::new();
        let (mut open, mut open_bytes) = (Vec::new(), 0);
        for slot in &self.slots {
            let wire = slot.wire();
            let bytes = to_json(&wire).len() + 1;
            if open.len() == slots_max || open_bytes + bytes + ENVELOPE_MAX_BYTES > MESSAGE_MAX_BYTES {
                bodies.push(self.body(std::mem::take(&mut open), false));
                open_bytes = 0;
            }
            open.push(wire);
            open_bytes += bytes;
        }
        if !open.is_empty() || self.summary {
            bodies.push(self.body(open, self.summary));
        }
        bodies
    }

    fn body(&self, slots: Vec<WireSlotRepair>, summary: bool) -> Vec<u8> {
        to_json(&WireRepair { epoch: self.epoch, slots, summary })
    }

    /// Reads a message's body.
    ///
    /// # Errors
    /// [`RepairError`] names the first fault. No slot that breaks a rule passes.
    pub fn decode(body: &[u8]) -> Result<Self, RepairError> {
        let WireRepair { epoch, slots, summary } = serde_json::from_slice(body)?;
        if slots.len() > REPAIR_MAX_SLOTS {
            return Err(RepairError::Member("slots: too many for one message"));
        }
        let slots = slots.into_iter().map(SlotRepair::of_wire).collect::<Result<Vec<_>, _>>()?;
        let mut uuids: Vec<Uuid> = slots.iter().map(|slot| slot.uuid).collect();
        uuids.sort_unstable();
        if uuids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(RepairError::Member("slots: one is named twice"));
        }
        Ok(Self { epoch, slots, summary })
    }
}

/// Room for what surrounds the slots of a message: a uuid and the names of three members.
const ENVELOPE_MAX_BYTES: usize = 128;

#[expect(
    clippy::expect_used,
    reason = "writing to memory cannot fail, and no map has a key that is not text"
)]
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a repair is always JSON")
}

impl SlotRepair {
    fn wire(&self) -> WireSlotRepair {
        let target = match &self.target {
            Target::Live { slot, created_at, updated_at } => WireTarget::Slot(WireSlot {
                name: slot.name.as_str().to_owned(),
                status: slot.status.as_str().to_owned(),
                version: slot.version.get(),
                created_at: *created_at,
                updated_at: *updated_at,
            }),
            Target::Deleted { version, deleted_at } => {
                WireTarget::Deleted(WireTombstone { version: version.get(), deleted_at: *deleted_at })
            }
            Target::Absent => WireTarget::Absent,
        };
        WireSlotRepair { uuid: self.uuid, found: self.found, target }
    }

    fn of_wire(wire: WireSlotRepair) -> Result<Self, RepairError> {
        let target = match wire.target {
            WireTarget::Slot(slot) => slot.target(wire.uuid)?,
            WireTarget::Deleted(tombstone) => Target::Deleted {
                version: Version::new(tombstone.version)
                    .filter(|version| *version > Version::FIRST)
                    .ok_or(RepairError::Member("deleted.version: must be 2 or more"))?,
                deleted_at: tombstone.deleted_at,
            },
            WireTarget::Absent => Target::Absent,
        };
        Ok(Self { uuid: wire.uuid, found: wire.found, target })
    }
}

impl WireSlot {
    fn target(self, uuid: Uuid) -> Result<Target, RepairError> {
        let Self { created_at, updated_at, .. } = self;
        let name = SlotName::parse_written(&self.name)
            .ok()
            .filter(|name| name.as_str() == self.name)
            .ok_or(RepairError::Member("slot.name: must be a name, trimmed and in NFC"))?;
        let status =
            SlotStatus::parse(&self.status).ok_or(RepairError::Member("slot.status: is not a status"))?;
        let version =
            Version::new(self.version).ok_or(RepairError::Member("slot.version: must be 1 or more"))?;
        if created_at > updated_at || (version == Version::FIRST && created_at != updated_at) {
            return Err(RepairError::Member("slot.created_at: must be the time of the slot's create"));
        }
        Ok(Target::Live { slot: Slot { uuid, name, status, version }, created_at, updated_at })
    }
}
