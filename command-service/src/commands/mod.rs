//! Commands: what is asked, and what comes of it. No HTTP, no SQL, no AMQP.
//!
//! | module | holds |
//! |---|---|
//! | [`queue`] | the door to the write side: bounded, with a deadline |

pub mod queue;

use shared::slot::{Command, CreateSlot, Rejection, Version};
use tracing::Span;
use uuid::Uuid;

use crate::register::{receipt::WriteReceipt, record::SlotRecord};

/// The most creates in one request.
pub const CREATES_MAX: usize = 1000;

/// What is asked in one go.
#[derive(Clone, Debug)]
pub enum Commands {
    /// One command.
    One(Command),
    /// Several creates, all or none, in one transaction: 1 to [`CREATES_MAX`].
    CreateAll(Vec<CreateSlot>),
}

impl Commands {
    /// How many commands it is.
    #[must_use]
    pub fn commands(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::CreateAll(creates) => creates.len(),
        }
    }

    /// The slot that must exist for the request to make sense; `None` for creates.
    #[must_use]
    pub fn existing_slot(&self) -> Option<Uuid> {
        match self {
            Self::One(command) => command.existing_slot(),
            Self::CreateAll(_) => None,
        }
    }
}

/// What tells a request that is sent again from a new one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The caller's own name for the request: 1 to 200 visible ASCII characters.
    pub name: String,
    /// A hash of everything that makes the request what it is: two with the same are the same request.
    pub fingerprint: [u8; 32],
}

/// A request and what came with it.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What is asked.
    pub request: Commands,
    /// If given, the request is carried out once, however often it is sent.
    pub key: Option<IdempotencyKey>,
    /// The caller's W3C trace context, if it sent a valid one; kept with the event.
    pub traceparent: Option<String>,
    /// The span of the caller's request: what is logged of this submission stands in it.
    pub span: Span,
}

/// What a command led to. It is durable on the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The slot was created.
    Created {
        /// The slot.
        record: SlotRecord,
        /// The receipt of its first event.
        receipt: WriteReceipt,
    },
    /// The slot is as the command asks: it was changed, or there was nothing to change.
    Updated {
        /// The slot.
        record: SlotRecord,
        /// The receipt of the event that made this version.
        receipt: WriteReceipt,
    },
    /// The slots of a [`Commands::CreateAll`] were created.
    AllCreated {
        /// The slots, in the order in which they were asked for.
        records: Vec<SlotRecord>,
        /// The receipt of their events.
        receipt: WriteReceipt,
    },
    /// The slot was deleted.
    Deleted {
        /// The version of the delete.
        version: Version,
        /// The receipt of its event.
        receipt: WriteReceipt,
    },
}

impl Outcome {
    /// The receipt of what stands in the log.
    #[must_use]
    pub fn receipt(&self) -> &WriteReceipt {
        match self {
            Self::Created { receipt, .. }
            | Self::AllCreated { receipt, .. }
            | Self::Updated { receipt, .. }
            | Self::Deleted { receipt, .. } => receipt,
        }
    }
}

/// A request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it led to.
    pub outcome: Outcome,
    /// Whether that was before, for an earlier request with the same key.
    pub replayed: bool,
}

/// Why a command led to nothing. Except for [`Refusal::OutcomeUnknown`] it is certain that nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The slot's rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The slot has another version than the caller demanded.
    #[error("the parking slot is at version {current}")]
    VersionMismatch {
        /// The slot's version.
        current: Version,
        /// The receipt of the event that made it.
        receipt: WriteReceipt,
    },
    /// A request with the same key is being carried out.
    #[error("a request with the same idempotency key is being carried out")]
    KeyInUse,
    /// Another request was carried out with the same key.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The primary is down.
    #[error("the primary database is down")]
    PrimaryUnavailable,
    /// Too many commands wait, this one has waited too long, or its slot was held too long by others.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The connection was lost around the commit, and the primary did not come back in time to tell.
    #[error("the connection was lost around the commit")]
    OutcomeUnknown,
    /// The primary refused this command for a reason that is a fault of this service; it is in the log.
    #[error("the command could not be committed")]
    Internal,
}

/// What became of a request.
pub type Answer = Result<Done, Refusal>;
