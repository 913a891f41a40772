//! The messages in the bytes of a connection. Bytes are told apart from the first one on, so that a rule which is
//! set later still sees whole messages.

/// What is spoken on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3, without encryption.
    Postgres,
    /// AMQP 0-9-1.
    Amqp,
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The service.
    Client,
    /// The part.
    Server,
}

/// A whole message, as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Who sent it.
    pub sender: Sender,
    /// All of its bytes.
    pub bytes: &'b [u8],
}

impl Frame<'_> {
    /// Whether it is PostgreSQL's request to run `sql`, and nothing else.
    #[must_use]
    pub fn is_simple_query(&self, sql: &str) -> bool {
        self.sender == Sender::Client && self.is_text_of(b'Q', sql)
    }

    /// Whether it is PostgreSQL's report that a command was carried out, with this tag.
    #[must_use]
    pub fn is_completion_of(&self, tag: &str) -> bool {
        self.sender == Sender::Server && self.is_text_of(b'C', tag)
    }

    /// Whether it is the AMQP method of this class and number.
    #[must_use]
    pub fn is_method(&self, class: u16, method: u16) -> bool {
        const METHOD_FRAME: u8 = 1;
        let mut head = class.to_be_bytes().to_vec();
        head.extend(method.to_be_bytes());
        self.bytes.first() == Some(&METHOD_FRAME) && self.bytes.get(7..11) == Some(head.as_slice())
    }

    fn is_text_of(&self, kind: u8, text: &str) -> bool {
        let payload = self.bytes.get(5..).and_then(|rest| rest.strip_suffix(&[0]));
        self.bytes.first() == Some(&kind) && payload == Some(text.as_bytes())
    }
}

/// Takes the bytes of one direction apart.
#[derive(Debug)]
pub struct Splitter {
    protocol: Protocol,
    greeting: bool,
    pending: Vec<u8>,
}

impl Splitter {
    /// For the bytes of `sender`, from the connection's first one on.
    #[must_use]
    pub fn new(protocol: Protocol, sender: Sender) -> Self {
        Self {
            protocol,
            // A client's first message has a form of its own in both protocols.
            greeting: sender == Sender::Client,
            pending: Vec::new(),
        }
    }

    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next message, once all of it has arrived.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.length()?;
        if self.pending.len() < length {
            return None;
        }
        self.greeting = false;
        let rest = self.pending.split_off(length);
        Some(std::mem::replace(&mut self.pending, rest))
    }

    fn length(&self) -> Option<usize> {
        match (self.protocol, self.greeting) {
            // "AMQP" and a version.
            (Protocol::Amqp, true) => Some(8),
            // Type, channel, size, the payload, and the end marker.
            (Protocol::Amqp, false) => self.number_at(3).map(|size| size + 8),
            // The length counts itself; every message but the first has a type before it.
            (Protocol::Postgres, true) => self.number_at(0),
            (Protocol::Postgres, false) => self.number_at(1).map(|size| size + 1),
        }
    }

    fn number_at(&self, offset: usize) -> Option<usize> {
        let bytes: [u8; 4] = self.pending.get(offset..offset + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}
