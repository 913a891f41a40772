//! Messages read into a batch of events and repairs. What cannot be read is kept as it came, with the reason: it must
//! not hide what is beside it.

use lapin::{message::Delivery, protocol::basic::AMQPProperties};
use shared::{
    messages::{
        event::{LoggedEvent, traces},
        repair::{REPAIR_CONTENT_TYPE, REPAIR_TYPE, Repair},
        wire::{BATCH_CONTENT_TYPE, split_batch},
    },
    position::Position,
};

/// A larger body is not read: no producer of ours makes one, and reading it would cost memory without a bound.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The longest reason that is kept, in characters.
const REASON_MAX_CHARS: usize = 1000;

/// An event as it came.
#[derive(Clone, Debug)]
pub struct Received<'d> {
    /// The event.
    pub event: LoggedEvent,
    /// Its JSON, to the letter.
    pub json: &'d str,
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
}

/// A repair as it came.
#[derive(Clone, Debug)]
pub struct ReceivedRepair<'d> {
    /// What is to be repaired.
    pub repair: Repair,
    /// The body of its message.
    pub body: &'d [u8],
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
}

/// What could not be read: an event's JSON, or a whole body.
#[derive(Clone, Debug)]
pub struct Unreadable<'d> {
    /// The bytes.
    pub body: &'d [u8],
    /// Why not.
    pub reason: String,
    /// The position of the event that it should have been, if that is certain: it was sent again, and alone. Else
    /// nothing is known to be settled by it: if real events were damaged, they are still missing.
    pub position: Option<Position>,
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
}

/// What was taken from the queue in one go. It borrows from the deliveries.
#[derive(Clone, Debug, Default)]
pub struct Batch<'d> {
    /// The events, in the order in which they came.
    pub events: Vec<Received<'d>>,
    /// The repairs, in the order in which they came.
    pub repairs: Vec<ReceivedRepair<'d>>,
    /// The rest.
    pub unreadable: Vec<Unreadable<'d>>,
}

impl<'d> Batch<'d> {
    /// Reads the messages.
    #[must_use]
    pub fn read(deliveries: &'d [Delivery]) -> Self {
        let mut batch = Self::default();
        for delivery in deliveries {
            let sent_again = delivery.exchange.as_str().is_empty();
            let position = sent_again.then(|| only_position(&delivery.properties)).flatten();
            batch.read_message(&delivery.data, &delivery.properties, position);
        }
        batch.settle_once();
        batch
    }

    /// Reads what was dead-lettered: an event's JSON, or a whole message.
    #[must_use]
    pub fn of_dead_letter(body: &'d [u8], properties: &'d AMQPProperties) -> Self {
        let mut batch = Self::default();
        match std::str::from_utf8(body) {
            Ok(json) if content_type(properties) == BATCH_CONTENT_TYPE && json.starts_with('{') => {
                batch.read_event(json, properties, None);
            }
            _ => batch.read_message(body, properties, None),
        }
        batch
    }

    /// The traces that led to its events, for a log line at `debug`; nothing is collected while none is wanted.
    #[must_use]
    pub fn traces(&self) -> Option<String> {
        tracing::enabled!(tracing::Level::DEBUG)
            .then(|| traces(self.events.iter().map(|received| &received.event)))
    }

    /// A position whose event was read settles nothing by a copy that was not.
    fn settle_once(&mut self) {
        for unreadable in &mut self.unreadable {
            let read = |received: &Received<'_>| Some(received.event.position) == unreadable.position;
            if unreadable.position.is_some() && self.events.iter().any(read) {
                unreadable.position = None;
            }
        }
    }

    fn read_message(&mut self, body: &'d [u8], properties: &'d AMQPProperties, position: Option<Position>) {
        if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == REPAIR_TYPE) {
            return self.read_repair(body, properties);
        }
        if content_type(properties) != BATCH_CONTENT_TYPE {
            return self.pass_over(
                body,
                "the content type is not that of a batch of events",
                position,
                properties,
            );
        }
        if body.len() > BODY_MAX_BYTES {
            return self.pass_over(
                body,
                "the body is larger than any message of events",
                position,
                properties,
            );
        }
        let events = match split_batch(body) {
            Ok(events) => events,
            Err(error) => {
                return self.pass_over(body, &format!("not a JSON array: {error}"), position, properties);
            }
        };
        for json in events {
            self.read_event(json.get(), properties, position);
        }
    }

    fn read_event(&mut self, json: &'d str, properties: &'d AMQPProperties, position: Option<Position>) {
        match LoggedEvent::decode(json) {
            Ok(event) => self.events.push(Received { event, json, properties }),
            Err(error) => self.pass_over(json.as_bytes(), &error.to_string(), position, properties),
        }
    }

    fn read_repair(&mut self, body: &'d [u8], properties: &'d AMQPProperties) {
        if content_type(properties) != REPAIR_CONTENT_TYPE {
            return self.pass_over(body, "the content type is not that of a repair", None, properties);
        }
        if body.len() > BODY_MAX_BYTES {
            return self.pass_over(body, "the body is larger than any repair", None, properties);
        }
        match Repair::decode(body) {
            Ok(repair) => self.repairs.push(ReceivedRepair { repair, body, properties }),
            Err(error) => self.pass_over(body, &error.to_string(), None, properties),
        }
    }

    fn pass_over(
        &mut self,
        body: &'d [u8],
        reason: &str,
        position: Option<Position>,
        properties: &'d AMQPProperties,
    ) {
        self.unreadable.push(Unreadable { body, reason: storable(reason), position, properties });
    }
}

fn content_type(properties: &AMQPProperties) -> &str {
    properties.content_type().as_ref().map_or("", |name| name.as_str())
}

/// The position of the only event of a message, as its id `<first>-<last>/<count>` tells.
fn only_position(properties: &AMQPProperties) -> Option<Position> {
    let id = properties.message_id().as_ref()?.as_str();
    let (first, last) = id.strip_suffix("/1")?.split_once('-')?;
    (first == last).then(|| first.parse().ok().and_then(Position::new)).flatten()
}

/// A text that PostgreSQL can store: without NUL, and not without end.
#[must_use]
pub fn storable(text: &str) -> String {
    text.chars()
        .take(REASON_MAX_CHARS)
        .map(|one| if one == '\0' { char::REPLACEMENT_CHARACTER } else { one })
        .collect()
}
