//! Reads messages into a batch of events and repairs. The batch keeps what it cannot read as it came, with the
//! reason, so that the rest of the message is still applied.
//!
//! | module | holds |
//! |---|---|
//! | `received` | an event, a repair and what could not be read, as received |

mod received;

use lapin::{message::Delivery, protocol::basic::AMQPProperties};
use shared::{
    broker::signing::{Trusted, Unsigned},
    messages::{
        event::{LoggedEvent, traces},
        repair::{REPAIR_CONTENT_TYPE, REPAIR_TYPE, Repair},
        wire::{BATCH_CONTENT_TYPE, only_sequence, split_batch},
    },
    position::Position,
};
use uuid::Uuid;

pub use self::received::{Received, ReceivedRepair, Unreadable};

/// The largest body that is read, which bounds the memory. No sender in this project makes a larger one.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The most events of a message that is read, which bounds the dead letters of one message. The relay puts at most 256
/// into one.
pub const EVENTS_MAX: usize = 1024;

/// The longest reason that is stored, in characters.
const REASON_MAX_CHARS: usize = 1000;

/// What is to be read, and the properties of its message.
type Raw<'d> = (&'d [u8], &'d AMQPProperties);

/// The messages taken from the queue at one time. Borrows from the deliveries.
#[derive(Clone, Debug, Default)]
pub struct Batch<'d> {
    /// The events, in the order of arrival.
    pub events: Vec<Received<'d>>,
    /// The repairs, in the order of arrival.
    pub repairs: Vec<ReceivedRepair<'d>>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable<'d>>,
}

impl<'d> Batch<'d> {
    /// Reads the messages into a batch. Reads nothing of an unsigned one.
    #[must_use]
    pub fn read(messages: impl IntoIterator<Item = (&'d Delivery, Result<Trusted, Unsigned>)>) -> Self {
        let mut batch = Self::default();
        for (delivery, trusted) in messages {
            match trusted {
                Ok(trusted) => {
                    let position = position_sent_again(delivery, trusted);
                    batch.read_message(&delivery.data, &delivery.properties, position);
                }
                Err(unsigned) => batch.pass_over_unsigned(delivery, unsigned),
            }
        }
        batch.settle_once();
        batch
    }

    /// Reads the body of a dead letter: an event's JSON, or a whole message.
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

    /// The traces of its events, for a log line at `debug`; `None` while that level is off.
    #[must_use]
    pub fn traces(&self) -> Option<String> {
        tracing::enabled!(tracing::Level::DEBUG)
            .then(|| traces(self.events.iter().map(|received| &received.event)))
    }

    /// Adds a message of other epochs than the primary's as unreadable. Its positions are those of another log, so it
    /// settles none.
    pub fn pass_over_stranger(&mut self, delivery: &'d Delivery, held: Uuid, others: &[Uuid]) {
        let other = others.first().copied().unwrap_or_default();
        let reason = format!(
            "of epoch {other}, which neither the primary nor the replica has, but {held}: another installation uses \
             this broker, or a former primary still runs"
        );
        self.pass_over((&delivery.data, &delivery.properties), &reason, None);
    }

    fn pass_over_unsigned(&mut self, delivery: &'d Delivery, unsigned: Unsigned) {
        let reason = format!("{unsigned}: no service with the signing key sent it");
        let (body, properties) = (&delivery.data, &delivery.properties);
        self.unreadable.push(Unreadable { body, reason, position: None, properties, is_unsigned: true });
    }

    /// Drops an unreadable copy's position if the batch also has the event in readable form, which settles it.
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
        let reason = if content_type(properties) != BATCH_CONTENT_TYPE {
            "the content type is not that of a batch of events".to_owned()
        } else if body.len() > BODY_MAX_BYTES {
            "the body is larger than any message of events".to_owned()
        } else {
            match split_batch(body) {
                Ok(events) if events.len() > EVENTS_MAX => "more events than any message holds".to_owned(),
                Ok(events) => {
                    return events.iter().for_each(|json| self.read_event(json.get(), properties, position));
                }
                Err(error) => format!("not a JSON array: {error}"),
            }
        };
        self.pass_over((body, properties), &reason, position);
    }

    fn read_event(&mut self, json: &'d str, properties: &'d AMQPProperties, position: Option<Position>) {
        match LoggedEvent::decode(json) {
            Ok(event) => self.events.push(Received { event, json, properties }),
            Err(error) => self.pass_over((json.as_bytes(), properties), &error.to_string(), position),
        }
    }

    fn read_repair(&mut self, body: &'d [u8], properties: &'d AMQPProperties) {
        if content_type(properties) != REPAIR_CONTENT_TYPE {
            return self.pass_over((body, properties), "the content type is not that of a repair", None);
        }
        if body.len() > BODY_MAX_BYTES {
            return self.pass_over((body, properties), "the body is larger than any repair", None);
        }
        match Repair::decode(body) {
            Ok(repair) => self.repairs.push(ReceivedRepair { repair, body, properties }),
            Err(error) => self.pass_over((body, properties), &error.to_string(), None),
        }
    }

    fn pass_over(&mut self, (body, properties): Raw<'d>, reason: &str, position: Option<Position>) {
        let reason = storable(reason);
        self.unreadable.push(Unreadable { body, reason, position, properties, is_unsigned: false });
    }
}

fn content_type(properties: &AMQPProperties) -> &str {
    properties.content_type().as_ref().map_or("", |name| name.as_str())
}

/// The position of the only event of a message that the relay sent again. The message names it; if only the body is
/// trusted, the body must name it too.
fn position_sent_again(delivery: &Delivery, trusted: Trusted) -> Option<Position> {
    let position = only_position(&delivery.properties).filter(|_| delivery.exchange.as_str().is_empty())?;
    let is_named = trusted == Trusted::Whole || only_sequence(&delivery.data) == Some(position);
    is_named.then_some(position)
}

/// The position of a message's only event, from the message id `<first>-<last>/<count>`.
fn only_position(properties: &AMQPProperties) -> Option<Position> {
    let id = properties.message_id().as_ref()?.as_str();
    let (first, last) = id.strip_suffix("/1")?.split_once('-')?;
    (first == last).then(|| first.parse().ok().and_then(Position::new)).flatten()
}

/// A text that PostgreSQL can store: without NUL, and cut to the longest reason that is stored.
#[must_use]
pub fn storable(text: &str) -> String {
    text.chars()
        .take(REASON_MAX_CHARS)
        .map(|one| if one == '\0' { char::REPLACEMENT_CHARACTER } else { one })
        .collect()
}
