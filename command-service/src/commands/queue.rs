//! The door to the write side: a command goes in, and what became of it comes out.

use std::{
    error::Error,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use shared::process::cause::chain;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Answer, Refusal, Submission};

/// The part of a command's time that is kept for committing it. A command that has waited until only this much is
/// left is cancelled, which is a definite answer; a command that was taken before gets at least this much.
pub const RESERVED_FOR_COMMIT: Duration = Duration::from_secs(4);

/// How long after a command's deadline the committer's own last word may come.
const ANSWER_GRACE: Duration = Duration::from_millis(500);

/// What the caller of a request gets.
#[derive(Clone, Debug)]
pub struct Executed {
    /// What became of it.
    pub answer: Answer,
    /// How long it waited to be taken.
    pub queued: Duration,
    /// How long it took from then on; zero if it was not taken.
    pub committing: Duration,
}

/// The entrance to the write side. Cheap to clone; when the last clone is gone, the committer finishes and ends.
#[derive(Clone, Debug)]
pub struct CommandQueue {
    queue: mpsc::Sender<QueuedSubmission>,
    /// A place for each command that may wait.
    places: Arc<Semaphore>,
    limit: usize,
    deadline: Duration,
}

impl CommandQueue {
    /// An entrance, and the queue behind it. At most `limit` commands wait or are being committed; `deadline` bounds
    /// each request's time from asking to answer and must exceed [`RESERVED_FOR_COMMIT`].
    #[must_use]
    pub fn channel(limit: usize, deadline: Duration) -> (Self, mpsc::Receiver<QueuedSubmission>) {
        let (queue, submissions) = mpsc::channel(limit);
        (Self { queue, places: Arc::new(Semaphore::new(limit)), limit, deadline }, submissions)
    }

    /// Has a request carried out, and answers at the latest shortly after the deadline. Dropping the future cancels the
    /// request unless the committer has taken it.
    pub async fn execute(&self, submission: Submission) -> Executed {
        self.execute_until(submission, std::future::pending()).await
    }

    /// As [`CommandQueue::execute`]. `given_up` completes when the caller waits no longer: it refuses a request that the
    /// committer has not taken by then.
    pub async fn execute_until(
        &self,
        submission: Submission,
        given_up: impl Future<Output = ()>,
    ) -> Executed {
        let asked_at = Instant::now();
        let ticket = Ticket::default();
        let answer = self.answer(submission, &ticket, asked_at + self.deadline, given_up).await;
        let answered_at = Instant::now();
        let taken_at = ticket.taken_at().unwrap_or(answered_at);
        Executed { answer, queued: taken_at - asked_at, committing: answered_at - taken_at }
    }

    async fn answer(
        &self,
        submission: Submission,
        ticket: &Ticket,
        deadline: Instant,
        given_up: impl Future<Output = ()>,
    ) -> Answer {
        // A request larger than the limit may have the whole queue for itself.
        let places = u32::try_from(submission.request.commands().min(self.limit)).unwrap_or(u32::MAX);
        let places =
            Arc::clone(&self.places).try_acquire_many_owned(places).map_err(|_| Refusal::Overloaded)?;
        let (reply, mut answer) = oneshot::channel();
        let queued = QueuedSubmission { submission, deadline, ticket: ticket.clone(), reply, places };
        self.queue.try_send(queued).map_err(|_| Refusal::Overloaded)?;
        let _cancel_if_dropped = CancelOnDrop(ticket);
        tokio::select! {
            answered = &mut answer => {
                return answered.unwrap_or_else(|_| Err(ticket.refusal_without_answer()));
            }
            () = sleep_until(deadline - RESERVED_FOR_COMMIT) => {}
            () = given_up => {}
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

/// The state of a command, shared by its caller and the committer: `waiting`, then `taken` or `cancelled`. One
/// compare-and-swap decides; only the side that wins it answers the caller.
#[derive(Clone, Debug, Default)]
struct Ticket(Arc<TicketState>);

#[derive(Debug, Default)]
struct TicketState {
    state: AtomicU8,
    taken_at: OnceLock<Instant>,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const CANCELLED: u8 = 2;

impl Ticket {
    fn leave_waiting(&self, to: u8) -> bool {
        self.0.state.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn take(&self) -> bool {
        let taken = self.leave_waiting(TAKEN);
        if taken {
            self.0.taken_at.get_or_init(Instant::now);
        }
        taken
    }

    fn taken_at(&self) -> Option<Instant> {
        self.0.taken_at.get().copied()
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
pub struct QueuedSubmission {
    submission: Submission,
    deadline: Instant,
    ticket: Ticket,
    reply: oneshot::Sender<Answer>,
    places: OwnedSemaphorePermit,
}

impl QueuedSubmission {
    /// Takes the command, unless its caller has cancelled it.
    #[must_use]
    pub fn take(self) -> Option<TakenSubmission> {
        let Self { submission, deadline, ticket, reply, places } = self;
        ticket.take().then(|| TakenSubmission {
            submission,
            deadline,
            taken_at: Instant::now(),
            reply,
            _places: places,
        })
    }
}

/// A command that the committer has taken: it must be answered, and only the committer can.
#[derive(Debug)]
pub struct TakenSubmission {
    /// What is asked.
    pub submission: Submission,
    /// When the caller must have an answer.
    pub deadline: Instant,
    taken_at: Instant,
    reply: oneshot::Sender<Answer>,
    /// Given back with the answer: what is taken still counts.
    _places: OwnedSemaphorePermit,
}

impl TakenSubmission {
    /// How many commands it is.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.submission.request.commands()
    }

    /// Whether the caller's time is up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// How long ago it was taken.
    #[must_use]
    pub fn since_taken(&self) -> Duration {
        self.taken_at.elapsed()
    }

    /// Refuses the command because of a failure, and logs the failure in the span of its request.
    pub fn refuse(self, refusal: Refusal, cause: &(dyn Error + 'static)) {
        self.submission.span.in_scope(|| tracing::warn!(cause = chain(cause), "{refusal}"));
        self.answer(Err(refusal));
    }

    /// Gives the answer. A caller that is gone does not mind.
    pub fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use shared::slot::{Command, DeleteSlot, Precondition};
    use uuid::Uuid;

    use super::*;
    use crate::commands::Commands;

    fn submission() -> Submission {
        let delete = DeleteSlot { uuid: Uuid::now_v7(), precondition: Precondition::Exists };
        Submission {
            request: Commands::One(Command::Delete(delete)),
            key: None,
            traceparent: None,
            span: tracing::Span::none(),
        }
    }

    #[tokio::test]
    async fn a_command_whose_caller_has_given_up_is_refused_only_while_it_waits() {
        let (queue, mut submissions) = CommandQueue::channel(4, Duration::from_secs(10));

        let waiting = queue.execute_until(submission(), std::future::ready(())).await;
        let refused = submissions.recv().await.and_then(QueuedSubmission::take);
        let (give_up, given_up) = oneshot::channel::<()>();
        let committer = async {
            let taken = submissions.recv().await.and_then(QueuedSubmission::take);
            drop(give_up);
            // The caller hears of it, and waits on.
            tokio::task::yield_now().await;
            taken.expect("it is still wanted").answer(Err(Refusal::Internal));
        };
        let (taken, ()) =
            tokio::join!(queue.execute_until(submission(), async { drop(given_up.await) }), committer);

        assert_eq!(waiting.answer.err(), Some(Refusal::Overloaded));
        assert!(refused.is_none(), "the committer passes it over");
        assert_eq!(taken.answer.err(), Some(Refusal::Internal), "the committer's own answer");
    }
}
