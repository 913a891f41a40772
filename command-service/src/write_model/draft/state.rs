//! The states of slots while a batch is decided, and the decision on each command.

use jiff::{SignedDuration, Timestamp};
use shared::{
    position::Position,
    slot::{Rejection, Slot, Version},
};
use uuid::Uuid;

use crate::{
    commands::{Outcome, Refusal},
    register::{receipt::WriteReceipt, record::SlotRecord},
};

/// A slot as the primary stores it.
#[derive(Clone, Debug)]
pub struct StoredSlot {
    /// The slot with its times.
    pub record: SlotRecord,
    /// The receipt of the event that made this version.
    pub receipt: WriteReceipt,
}

/// Position, commit time and epoch of a batch's first event. Each further event is one position and one microsecond
/// later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// The first event's position.
    pub position: Position,
    /// The first event's commit time.
    pub time: Timestamp,
    /// The epoch in which the positions count.
    pub epoch: Uuid,
}

impl Stamps {
    pub(super) fn position_of(self, event: usize) -> Position {
        let number = self.position.get() + i64::try_from(event).unwrap_or(i64::MAX);
        Position::new(number).unwrap_or(self.position)
    }

    pub(super) fn receipt_of(self, first_event: usize, events: usize) -> WriteReceipt {
        let last_event = first_event + events.saturating_sub(1);
        WriteReceipt {
            epoch: self.epoch,
            first: self.position_of(first_event),
            last: self.position_of(last_event),
        }
    }

    pub(super) fn time_of(self, event: usize) -> Timestamp {
        let later = SignedDuration::from_micros(i64::try_from(event).unwrap_or(i64::MAX));
        self.time.saturating_add(later).unwrap_or(self.time)
    }
}

/// Which event made the version of a slot that a command sees or leaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum MadeBy {
    Before { updated_at: Timestamp, receipt: WriteReceipt },
    Event(usize),
}

#[derive(Clone, Debug)]
pub(super) struct DraftState {
    pub(super) slot: Slot,
    pub(super) created_at: Option<Timestamp>,
    pub(super) made_by: MadeBy,
}

#[derive(Clone, Debug)]
pub(super) enum Decided {
    Created(DraftState),
    Updated(DraftState),
    AllCreated {
        slots: Vec<Slot>,
        first_event: usize,
    },
    Deleted {
        event: usize,
        version: Version,
    },
    Rejected(Rejection),
    Mismatched {
        current: Version,
        made_by: MadeBy,
    },
    Refused(Refusal),
    Held,
    /// The outcome of an earlier request with the same key.
    Replayed(Outcome),
    /// The decision on this earlier request of the batch, which has the same key.
    Joined(usize),
    KeyInUse,
}

impl DraftState {
    pub(super) fn before(stored: &StoredSlot) -> Self {
        Self {
            slot: stored.record.slot.clone(),
            created_at: Some(stored.record.created_at),
            made_by: MadeBy::Before { updated_at: stored.record.updated_at, receipt: stored.receipt },
        }
    }
}
