//! An event as stored in the log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{position::Position, slot::SlotEvent};

/// The type of an event; also the routing key under which the relay publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventType {
    /// A slot was created.
    #[serde(rename = "parking.create")]
    Create,
    /// A slot was updated.
    #[serde(rename = "parking.update")]
    Update,
    /// A slot was deleted.
    #[serde(rename = "parking.delete")]
    Delete,
}

impl EventType {
    /// Every type, in the order in which the relay publishes them.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    /// The type's name, as in the log and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "parking.create",
            Self::Update => "parking.update",
            Self::Delete => "parking.delete",
        }
    }

    /// The type with this name, if any.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The type of `event`.
    #[must_use]
    pub fn of(event: &SlotEvent) -> Self {
        match event {
            SlotEvent::Created(_) => Self::Create,
            SlotEvent::Updated { .. } => Self::Update,
            SlotEvent::Deleted { .. } => Self::Delete,
        }
    }
}

/// An event with what the log added to it: position, identity and commit time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its identity, made by the service.
    pub id: Uuid,
    /// The epoch in which the position counts.
    pub epoch: Uuid,
    /// When it was committed, in microseconds; strictly rising with `position`.
    pub committed_at: Timestamp,
    /// When its slot was created. A delete has no such time on the wire; decoded, it equals `committed_at`.
    pub created_at: Timestamp,
    /// The W3C trace context of the request, if it carried a valid one.
    pub traceparent: Option<String>,
    /// What happened.
    pub event: SlotEvent,
}

impl LoggedEvent {
    /// The trace id of the request that led to the event, if it had one.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(trace_id)
    }
}

/// The trace ids of these events for a log line, separated by spaces.
#[must_use]
pub fn traces<'e>(events: impl IntoIterator<Item = &'e LoggedEvent>) -> String {
    events.into_iter().filter_map(LoggedEvent::trace_id).collect::<Vec<_>>().join(" ")
}

/// The trace id in a valid `traceparent` (W3C Trace Context, version 00).
#[must_use]
pub fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}
