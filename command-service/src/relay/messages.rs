//! Groups events into messages of one type each, so that a mixed load batches as well as creates alone.

use shared::{
    messages::{
        event::{EventType, LoggedEvent},
        wire::{MESSAGE_MAX_BYTES, MESSAGE_MAX_EVENTS},
    },
    position::Position,
};

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The type of its events, which is its routing key.
    pub kind: EventType,
    /// The position of its first event.
    pub first: Position,
    /// The position of its last event.
    pub last: Position,
    /// How many events it carries: 1 to [`MESSAGE_MAX_EVENTS`]. Their positions rise, but need not be
    /// consecutive.
    pub count: usize,
    /// A JSON array of at most [`MESSAGE_MAX_BYTES`]. Only a single larger event could exceed that, and no
    /// event is so large.
    pub body: Vec<u8>,
}

impl Message {
    /// The message's identity, under which the broker returns it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}/{}", self.first, self.last, self.count)
    }
}

/// Groups events, given in order of position, by type. Each event is in exactly one message.
#[must_use]
pub fn group(events: &[LoggedEvent]) -> Vec<Message> {
    let mut messages = Vec::new();
    for kind in EventType::ALL {
        let mut open: Option<Message> = None;
        for event in events.iter().filter(|event| EventType::of(&event.event) == kind) {
            let mut json = Vec::with_capacity(640);
            event.encode_into(&mut json);
            match &mut open {
                Some(message) if message.has_room_for(&json) => message.push(event.position, &json),
                _ => messages
                    .extend(open.replace(Message::start(kind, event.position, &json)).map(Message::close)),
            }
        }
        messages.extend(open.map(Message::close));
    }
    messages
}

impl Message {
    fn start(kind: EventType, position: Position, json: &[u8]) -> Self {
        let mut body = Vec::with_capacity(json.len() + 2);
        body.push(b'[');
        body.extend_from_slice(json);
        Self { kind, first: position, last: position, count: 1, body }
    }

    fn has_room_for(&self, json: &[u8]) -> bool {
        // The event, the comma before it and the closing bracket.
        self.count < MESSAGE_MAX_EVENTS && self.body.len() + json.len() + 2 <= MESSAGE_MAX_BYTES
    }

    fn push(&mut self, position: Position, json: &[u8]) {
        self.body.push(b',');
        self.body.extend_from_slice(json);
        self.last = position;
        self.count += 1;
    }

    fn close(mut self) -> Self {
        self.body.push(b']');
        self
    }
}
