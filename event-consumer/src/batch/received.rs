//! What a message holds, as received.

use lapin::protocol::basic::AMQPProperties;
use shared::{
    messages::{event::LoggedEvent, repair::Repair},
    position::Position,
};

/// An event as received.
#[derive(Clone, Debug)]
pub struct Received<'d> {
    /// The event.
    pub event: LoggedEvent,
    /// Its JSON, byte for byte.
    pub json: &'d str,
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
}

/// A repair as received.
#[derive(Clone, Debug)]
pub struct ReceivedRepair<'d> {
    /// The repair.
    pub repair: Repair,
    /// The body of its message.
    pub body: &'d [u8],
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
}

/// An event's JSON or a whole body that could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable<'d> {
    /// The bytes.
    pub body: &'d [u8],
    /// Why it could not be read.
    pub reason: String,
    /// The position of the event that it should be. Known only if the relay sent the event again, and alone.
    /// Otherwise it settles no position: damaged events stay missing.
    pub position: Option<Position>,
    /// The properties of its message.
    pub properties: &'d AMQPProperties,
    /// Whether nobody vouches for it. Then it is dead-lettered by its fingerprint alone: a retry must not apply it.
    pub is_unsigned: bool,
}
