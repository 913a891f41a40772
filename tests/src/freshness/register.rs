//! What the log makes of every slot, at any time.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::level::EventRow;

/// A slot's place in creation order.
pub type Place = (Timestamp, Uuid);

/// The log by slot.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// The log, in order of position.
    pub events: Vec<EventRow>,
    slots: HashMap<Uuid, Vec<usize>>,
}

/// The least version of each slot that somebody must see.
pub type Floor = HashMap<Uuid, i64>;

impl Register {
    /// Takes the log, in order of position.
    #[must_use]
    pub fn new(events: Vec<EventRow>) -> Self {
        let mut slots: HashMap<Uuid, Vec<usize>> = HashMap::new();
        for (number, event) in events.iter().enumerate() {
            slots.entry(event.slot_uuid).or_default().push(number);
        }
        Self { events, slots }
    }

    /// Everything that happened to a slot, in order of version.
    pub fn history(&self, uuid: Uuid) -> impl Iterator<Item = &EventRow> {
        self.slots.get(&uuid).into_iter().flatten().map(|number| &self.events[*number])
    }

    /// The event that made a version of a slot.
    #[must_use]
    pub fn event(&self, uuid: Uuid, version: i64) -> Option<&EventRow> {
        self.history(uuid).find(|event| event.version == version)
    }

    /// The event that removed a slot.
    #[must_use]
    pub fn removal(&self, uuid: Uuid) -> Option<&EventRow> {
        self.history(uuid).last().filter(|event| event.name.is_none())
    }

    /// Where a slot stands in creation order.
    #[must_use]
    pub fn place(&self, uuid: Uuid) -> Option<Place> {
        self.history(uuid).next().map(|event| (event.created_at, uuid))
    }

    /// What must be seen by who sees every write whose commit time is not after `as_of`.
    #[must_use]
    pub fn floor_at(&self, as_of: Timestamp) -> Floor {
        let mut floor = Floor::new();
        for event in self.events.iter().filter(|event| event.committed_at <= as_of) {
            raise(&mut floor, event.slot_uuid, event.version);
        }
        floor
    }

    /// The same of one slot.
    #[must_use]
    pub fn floor_of_slot_at(&self, uuid: Uuid, as_of: Timestamp) -> Floor {
        let mut floor = Floor::new();
        for event in self.history(uuid).filter(|event| event.committed_at <= as_of) {
            raise(&mut floor, uuid, event.version);
        }
        floor
    }

    /// Every slot that the log knows.
    pub fn slots(&self) -> impl Iterator<Item = Uuid> {
        self.slots.keys().copied()
    }
}

/// Makes `version` the least one of a slot, unless a higher one is already.
pub fn raise(floor: &mut Floor, uuid: Uuid, version: i64) {
    let least = floor.entry(uuid).or_insert(version);
    *least = version.max(*least);
}
