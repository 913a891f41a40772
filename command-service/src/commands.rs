//! The door to the write side: a command goes in, and what became of it comes out. Neither side of the door knows
//! HTTP, SQL or AMQP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use shared::{
    event::Position,
    slot::{Command, Rejection, Version},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::record::SlotRecord;

/// The part of a command's time that is kept for committing it. A command that has waited until only this much is
/// left is cancelled, which is a definite answer; a command that was taken before gets at least this much.
pub const RESERVED_FOR_COMMIT: Duration = Duration::from_secs(4);

/// How long after a command's deadline the committer's own last word may come.
const ANSWER_GRACE: Duration = Duration::from_millis(500);

/// A command and what came with it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is asked.
    pub command: Command,
    /// The caller's W3C trace context, if it sent a valid one; kept with the event.
    pub traceparent: Option<String>,
}

/// What a command led to. It is durable on the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The slot stands like this, be it because of the command or because there was nothing to change.
    Stands {
        /// The slot.
        record: SlotRecord,
        /// The position of the event that made this version.
        position: Position,
    },
    /// The slot is removed.
    Removed {
        /// The version of the delete.
        version: Version,
        /// The position of its event.
        position: Position,
    },
}

/// Why a command led to nothing. Except for [`Refusal::OutcomeUnknown`] it is certain that nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The slot's rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The primary is away.
    #[error("the primary database is away")]
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

/// What the caller of a command gets.
pub type Answer = Result<Outcome, Refusal>;

/// The entrance to the write side. Cheap to clone; when the last clone is gone, the committer finishes and ends.
#[derive(Clone, Debug)]
pub struct Commands {
    queue: mpsc::Sender<Submission>,
    deadline: Duration,
}

impl Commands {
    /// An entrance, and the queue behind it. At most `limit` commands wait; `deadline` bounds each command's time
    /// from asking to answer and must exceed [`RESERVED_FOR_COMMIT`].
    #[must_use]
    pub fn channel(limit: usize, deadline: Duration) -> (Self, mpsc::Receiver<Submission>) {
        let (queue, submissions) = mpsc::channel(limit);
        (Self { queue, deadline }, submissions)
    }

    /// Has a command carried out. Dropping the future cancels the command unless it has been taken.
    ///
    /// # Errors
    /// The [`Refusal`], at the latest shortly after the deadline.
    pub async fn execute(&self, ask: Ask) -> Answer {
        let deadline = Instant::now() + self.deadline;
        let ticket = Ticket::default();
        let (reply, mut answer) = oneshot::channel();
        let submission = Submission { ask, deadline, ticket: ticket.clone(), reply };
        self.queue.try_send(submission).map_err(|_| Refusal::Overloaded)?;
        let _cancel_if_dropped = CancelOnDrop(&ticket);
        if let Ok(answered) = timeout_at(deadline - RESERVED_FOR_COMMIT, &mut answer).await {
            return answered.unwrap_or_else(|_| Err(ticket.refusal_without_answer()));
        }
        if ticket.cancel() {
            return Err(Refusal::Overloaded);
        }
        match timeout_at(deadline + ANSWER_GRACE, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => Err(Refusal::OutcomeUnknown),
        }
    }
}

/// The state of a command, shared by its caller and the committer: `waiting`, then `taken` or `cancelled`, decided by
/// one atomic step. Only who wins that step may answer.
#[derive(Clone, Debug, Default)]
struct Ticket(Arc<AtomicU8>);

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const CANCELLED: u8 = 2;

impl Ticket {
    fn leave_waiting(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn cancel(&self) -> bool {
        self.leave_waiting(CANCELLED)
    }

    /// The committer is gone. A command that it had not taken cannot have happened.
    fn refusal_without_answer(&self) -> Refusal {
        if self.cancel() { Refusal::PrimaryUnavailable } else { Refusal::OutcomeUnknown }
    }
}

struct CancelOnDrop<'t>(&'t Ticket);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A command in the queue. Nobody may carry it out before it is taken.
#[derive(Debug)]
pub struct Submission {
    ask: Ask,
    deadline: Instant,
    ticket: Ticket,
    reply: oneshot::Sender<Answer>,
}

impl Submission {
    /// Takes the command, unless its caller has cancelled it.
    #[must_use]
    pub fn take(self) -> Option<Taken> {
        let Self { ask, deadline, ticket, reply } = self;
        ticket.leave_waiting(TAKEN).then_some(Taken { ask, deadline, reply })
    }
}

/// A command that the committer has taken: it must be answered, and only the committer can.
#[derive(Debug)]
pub struct Taken {
    /// What is asked.
    pub ask: Ask,
    /// When the caller must have an answer.
    pub deadline: Instant,
    reply: oneshot::Sender<Answer>,
}

impl Taken {
    /// Whether the caller's time is up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Gives the answer. A caller that is gone does not mind.
    pub fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }
}
