//! The form of events on the wire: the JSON batch format of CloudEvents 1.0, as `asyncapi.yaml` describes it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{EventType, LoggedEvent};
use crate::{
    position::Position,
    slot::{Changed, NameError, Slot, SlotEvent, SlotName, SlotStatus, Version},
    time,
};

/// The most events that one message carries.
pub const MESSAGE_MAX_EVENTS: usize = 256;

/// The most bytes in the body of one message.
pub const MESSAGE_MAX_BYTES: usize = 128 * 1024;

/// The content type of a message of events.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

const SOURCE: &str = "/parking/command-service";
const DATA_CONTENT_TYPE: &str = "application/json";
const DATA_SCHEMA: &str = "urn:parking:slot:1";

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or a member is absent or of another type.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
    /// A member has a value that is not allowed.
    #[error("{member}: {reason}")]
    Member {
        /// Which member.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The slot's name breaks its rules.
    #[error("data.name: {0}")]
    Name(#[from] NameError),
}

#[derive(Serialize, Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    id: Uuid,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: EventType,
    subject: Uuid,
    #[serde(with = "time")]
    time: Timestamp,
    #[serde(borrow)]
    datacontenttype: Cow<'a, str>,
    #[serde(borrow)]
    dataschema: Cow<'a, str>,
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    epoch: Uuid,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: WireData<'a>,
}

#[derive(Serialize, Deserialize)]
struct WireData<'a> {
    uuid: Uuid,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Cow<'a, str>>,
    version: i64,
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
}

impl LoggedEvent {
    /// Appends the event's JSON object to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let time = self.committed_at;
        let (name, status, changed) = match &self.event {
            SlotEvent::Created(slot) => (Some(&slot.name), Some(slot.status), None),
            SlotEvent::Updated { slot, changed } => (Some(&slot.name), Some(slot.status), Some(*changed)),
            SlotEvent::Deleted { .. } => (None, None, None),
        };
        let exists = name.is_some();
        let wire = WireEvent {
            specversion: "1.0".into(),
            id: self.id,
            source: SOURCE.into(),
            kind: EventType::of(&self.event),
            subject: self.event.uuid(),
            time,
            datacontenttype: DATA_CONTENT_TYPE.into(),
            dataschema: DATA_SCHEMA.into(),
            sequence: format!("{:019}", self.position.get()).into(),
            epoch: self.epoch,
            traceparent: self.traceparent.as_deref().map(Into::into),
            changed: changed.map(|changed| changed.as_str().into()),
            data: WireData {
                uuid: self.event.uuid(),
                name: name.map(|name| name.as_str().into()),
                status: status.map(|status| status.as_str().into()),
                version: self.event.version().get(),
                created_at: exists.then_some(self.created_at),
                updated_at: exists.then_some(time),
                deleted_at: (!exists).then_some(time),
            },
        };
        #[expect(
            clippy::expect_used,
            reason = "writing to memory cannot fail, and no map has a key that is not text"
        )]
        serde_json::to_writer(out, &wire).expect("an event is always JSON");
    }

    /// Reads one event. Ignores unknown members, so that a newer producer may add some.
    ///
    /// # Errors
    /// [`DecodeError`] names the first fault. No event that breaks a rule of the slot or of the log passes.
    pub fn decode(json: &str) -> Result<Self, DecodeError> {
        let wire: WireEvent<'_> = serde_json::from_str(json)?;
        wire.check_envelope()?;
        let position = parse_sequence(&wire.sequence)?;
        let version = Version::new(wire.data.version)
            .filter(|version| version.get() <= position.get())
            .ok_or(fault("data.version", "must be from 1 to the event's position"))?;
        let created_at = wire.data.created_at.unwrap_or(wire.time);
        let event = match wire.kind {
            EventType::Create => SlotEvent::Created(wire.data.slot(version, wire.time)?),
            EventType::Update => SlotEvent::Updated {
                slot: wire.data.slot(version, wire.time)?,
                changed: wire
                    .changed
                    .as_deref()
                    .and_then(Changed::parse)
                    .ok_or(fault("changed", "must name fields"))?,
            },
            EventType::Delete => wire.data.delete(version, wire.time)?,
        };
        if (version == Version::FIRST) != (wire.kind == EventType::Create) {
            return Err(fault("data.version", "must be 1 for a create, and only for a create"));
        }
        Ok(Self {
            position,
            id: wire.id,
            epoch: wire.epoch,
            committed_at: wire.time,
            created_at,
            traceparent: wire.traceparent.map(Cow::into_owned),
            event,
        })
    }
}

/// Splits a message's body into the texts of its events. Does not read them, because a fault in one event
/// must not hide the others.
///
/// # Errors
/// The body is not a JSON array.
pub fn split_batch(body: &[u8]) -> Result<Vec<&serde_json::value::RawValue>, serde_json::Error> {
    serde_json::from_slice(body)
}

/// The position that the body of a message with one event names, though the event may be unreadable.
#[must_use]
pub fn only_sequence(body: &[u8]) -> Option<Position> {
    #[derive(Deserialize)]
    struct Sequence<'a> {
        #[serde(borrow)]
        sequence: Cow<'a, str>,
    }
    let [event]: [Sequence<'_>; 1] = serde_json::from_slice(body).ok()?;
    parse_sequence(&event.sequence).ok()
}

impl WireEvent<'_> {
    fn check_envelope(&self) -> Result<(), DecodeError> {
        if self.specversion != "1.0" {
            return Err(fault("specversion", "must be 1.0"));
        }
        if self.dataschema != DATA_SCHEMA {
            return Err(fault("dataschema", "is not one that this consumer knows"));
        }
        if self.subject != self.data.uuid {
            return Err(fault("subject", "must be the slot's uuid"));
        }
        Ok(())
    }
}

impl WireData<'_> {
    fn slot(&self, version: Version, time: Timestamp) -> Result<Slot, DecodeError> {
        let text = self.name.as_deref().ok_or(fault("data.name", "is absent"))?;
        let name = SlotName::parse_written(text)?;
        if name.as_str() != text {
            return Err(fault("data.name", "must be trimmed and in NFC"));
        }
        let status = self
            .status
            .as_deref()
            .and_then(SlotStatus::parse)
            .ok_or(fault("data.status", "is not a status"))?;
        if self.updated_at != Some(time) {
            return Err(fault("data.updated_at", "must be the event's time"));
        }
        let created_at = self.created_at.ok_or(fault("data.created_at", "is absent"))?;
        if created_at > time || (version == Version::FIRST && created_at != time) {
            return Err(fault("data.created_at", "must be the time of the slot's create"));
        }
        Ok(Slot { uuid: self.uuid, name, status, version })
    }

    fn delete(&self, version: Version, time: Timestamp) -> Result<SlotEvent, DecodeError> {
        if self.deleted_at != Some(time) {
            return Err(fault("data.deleted_at", "must be the event's time"));
        }
        Ok(SlotEvent::Deleted { uuid: self.uuid, version })
    }
}

fn fault(member: &'static str, reason: &'static str) -> DecodeError {
    DecodeError::Member { member, reason }
}

fn parse_sequence(text: &str) -> Result<Position, DecodeError> {
    let digits = text.len() == 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok().and_then(Position::new))
        .flatten()
        .ok_or(fault("sequence", "must be a position in 19 digits"))
}
