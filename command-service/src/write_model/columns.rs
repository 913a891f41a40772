//! Turns a batch into columns.

use shared::{
    messages::event::EventType,
    slot::{SlotEvent, evolve},
};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::draft::Draft;

/// A batch as the columns that `append.sql` takes.
#[derive(Default)]
pub(super) struct EventColumns<'d> {
    pub(super) ids: Vec<Uuid>,
    types: Vec<&'static str>,
    pub(super) slots: Vec<Uuid>,
    pub(super) versions: Vec<i64>,
    names: Vec<Option<&'d str>>,
    statuses: Vec<Option<&'static str>>,
    created_at: Vec<Option<jiff::Timestamp>>,
    changed: Vec<Option<&'static str>>,
    traceparents: Vec<Option<&'d str>>,
    last_of_slot: Vec<bool>,
}

impl<'d> EventColumns<'d> {
    pub(super) fn of(draft: &'d Draft) -> Self {
        let mut columns = Self::default();
        for drafted in &draft.events {
            let after = evolve(&drafted.event);
            columns.ids.push(drafted.id);
            columns.types.push(EventType::of(&drafted.event).as_str());
            columns.slots.push(drafted.event.uuid());
            columns.versions.push(drafted.event.version().get());
            columns.names.push(after.map(|slot| slot.name.as_str()));
            columns.statuses.push(after.map(|slot| slot.status.as_str()));
            columns.created_at.push(drafted.created_at);
            columns.changed.push(match &drafted.event {
                SlotEvent::Updated { changed, .. } => Some(changed.as_str()),
                SlotEvent::Created(_) | SlotEvent::Deleted { .. } => None,
            });
            columns.traceparents.push(drafted.traceparent.as_deref());
            columns.last_of_slot.push(drafted.is_last_of_slot);
        }
        columns
    }

    pub(super) fn params<'p>(&'p self, notify: &'p bool) -> [&'p (dyn ToSql + Sync); 11] {
        [
            &self.ids,
            &self.types,
            &self.slots,
            &self.versions,
            &self.names,
            &self.statuses,
            &self.created_at,
            &self.changed,
            &self.traceparents,
            &self.last_of_slot,
            notify,
        ]
    }
}
