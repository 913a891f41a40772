//! Picks the newest version of each slot: of several events of one slot in a batch, only that version is written.

use std::collections::{HashMap, hash_map::Entry};

use jiff::Timestamp;
use shared::{
    document,
    messages::event::LoggedEvent,
    slot::{SlotEvent, evolve},
};
use uuid::Uuid;

/// Slots to insert or update, as columns.
#[derive(Clone, Debug, Default)]
pub struct Upserts<'e> {
    /// Which slots.
    pub uuids: Vec<Uuid>,
    /// Their versions.
    pub versions: Vec<i64>,
    /// When they were created.
    pub created_at: Vec<Timestamp>,
    /// When these versions were committed.
    pub updated_at: Vec<Timestamp>,
    /// Their statuses.
    pub statuses: Vec<&'static str>,
    /// Their names.
    pub names: Vec<&'e str>,
    /// Their JSON documents.
    pub documents: Vec<String>,
}

/// Slots to delete, as columns.
#[derive(Clone, Debug, Default)]
pub struct Deletes {
    /// Which slots.
    pub uuids: Vec<Uuid>,
    /// The versions of their deletes.
    pub versions: Vec<i64>,
    /// When they were deleted.
    pub deleted_at: Vec<Timestamp>,
}

/// What a batch changes.
#[derive(Clone, Debug, Default)]
pub struct NewestVersions<'e> {
    /// The slots whose newest event is a create or an update.
    pub upserts: Upserts<'e>,
    /// The slots whose newest event is a delete.
    pub deletes: Deletes,
}

impl<'e> NewestVersions<'e> {
    /// Takes the highest version of each slot; of equal versions the first.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = &'e LoggedEvent>) -> Self {
        let mut latest: HashMap<Uuid, &LoggedEvent> = HashMap::new();
        for event in events {
            match latest.entry(event.event.uuid()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(event);
                }
                Entry::Occupied(mut held) if held.get().event.version() < event.event.version() => {
                    held.insert(event);
                }
                Entry::Occupied(_) => {}
            }
        }
        let mut winners = Self::default();
        for event in latest.into_values() {
            winners.push(event);
        }
        winners
    }

    fn push(&mut self, logged: &'e LoggedEvent) {
        if let Some(slot) = evolve(&logged.event) {
            self.upserts.uuids.push(slot.uuid);
            self.upserts.versions.push(slot.version.get());
            self.upserts.created_at.push(logged.created_at);
            self.upserts.updated_at.push(logged.committed_at);
            self.upserts.statuses.push(slot.status.as_str());
            self.upserts.names.push(slot.name.as_str());
            self.upserts.documents.push(document::encode(slot, logged.created_at, logged.committed_at));
        } else if let SlotEvent::Deleted { uuid, version } = logged.event {
            self.deletes.uuids.push(uuid);
            self.deletes.versions.push(version.get());
            self.deletes.deleted_at.push(logged.committed_at);
        }
    }
}
