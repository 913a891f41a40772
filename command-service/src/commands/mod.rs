//! Commands and their outcomes. No HTTP, no SQL, no AMQP.
//!
//! | module | holds |
//! |---|---|
//! | [`queue`] | the bounded queue in front of the write model; each submission has a deadline |

pub mod queue;

use shared::slot::{Command, CreateSlot, Rejection, Version};
use tracing::Span;
use uuid::Uuid;

use crate::register::{receipt::WriteReceipt, record::SlotRecord};

/// The most creates in one request.
pub const CREATES_MAX: usize = 1000;

/// The commands of one request.
#[derive(Clone, Debug)]
pub enum Commands {
    /// One command.
    One(Command),
    /// 1 to [`CREATES_MAX`] creates in one transaction: all or none.
    CreateAll(Vec<CreateSlot>),
}

impl Commands {
    /// The number of commands.
    #[must_use]
    pub fn commands(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::CreateAll(creates) => creates.len(),
        }
    }

    /// The slot that must exist already; `None` for creates.
    #[must_use]
    pub fn existing_slot(&self) -> Option<Uuid> {
        match self {
            Self::One(command) => command.existing_slot(),
            Self::CreateAll(_) => None,
        }
    }
}

/// Tells a repeated request from a new one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The caller's name for the request: 1 to 200 visible ASCII characters.
    pub name: String,
    /// A hash of everything that identifies the request. Equal fingerprints mean the same request.
    pub fingerprint: [u8; 32],
}

/// A request with its idempotency key and trace context.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The commands.
    pub request: Commands,
    /// With a key, the service carries out the request once, however often the caller sends it.
    pub key: Option<IdempotencyKey>,
    /// The caller's W3C trace context, if it sent a valid one. The event keeps it.
    pub traceparent: Option<String>,
    /// The span of the caller's request; log lines about this submission belong to it.
    pub span: Span,
}

/// The outcome of a command, durable on the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The slot was created.
    Created {
        /// The slot.
        record: SlotRecord,
        /// The receipt of its first event.
        receipt: WriteReceipt,
    },
    /// The slot is as the command asks: the command changed it, or there was nothing to change.
    Updated {
        /// The slot.
        record: SlotRecord,
        /// The receipt of the event that made this version.
        receipt: WriteReceipt,
    },
    /// The slots of a [`Commands::CreateAll`] were created.
    AllCreated {
        /// The slots, in the order of the request.
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
    /// The receipt of the events behind this outcome.
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
    /// Its outcome.
    pub outcome: Outcome,
    /// Whether an earlier request with the same key produced this outcome.
    pub replayed: bool,
}

/// Why a command has no outcome. Only with [`Refusal::OutcomeUnknown`] may the command have been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The slot's rules reject the command.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The slot's version differs from the version that the caller demanded.
    #[error("the parking slot is at version {current}")]
    VersionMismatch {
        /// The slot's version.
        current: Version,
        /// The receipt of the event that made it.
        receipt: WriteReceipt,
    },
    /// Another request with the same key is still running.
    #[error("a request with the same idempotency key is being carried out")]
    KeyInUse,
    /// The key was already used for a different request.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The primary is down.
    #[error("the primary database is down")]
    PrimaryUnavailable,
    /// Too many commands wait, this command waited too long, or other transactions locked its slot too long.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The connection was lost around the commit, and the primary did not return in time to tell the outcome.
    #[error("the connection was lost around the commit")]
    OutcomeUnknown,
    /// The primary refused this command because of a fault in this service. The service logs the reason.
    #[error("the command could not be committed")]
    Internal,
}

/// The answer to a request.
pub type Answer = Result<Done, Refusal>;
