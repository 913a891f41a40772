//! The entrance to the write side: takes a submission and returns its answer.

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

/// The part of a command's time reserved for its commit. A command still waiting when only this much is left is
/// cancelled, which is a definite answer; a command taken before gets at least this much.
pub const RESERVED_FOR_COMMIT: Duration = Duration::from_secs(4);

/// How long after a command's deadline the committer may still answer.
const ANSWER_GRACE: Duration = Duration::from_millis(500);

/// The result of a submission.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The committer's answer, or the refusal.
    pub answer: Answer,
    /// How long it waited in the queue.
    pub queued: Duration,
    /// How long the commit took; zero if it was not taken.
    pub committing: Duration,
}

/// The sender of the queue. Cheap to clone; after the last clone drops, the committer finishes and ends.
#[derive(Clone, Debug)]
pub struct CommandQueue {
    queue: mpsc::Sender<QueuedSubmission>,
    /// One permit for each command that may wait.
    places: Arc<Semaphore>,
    limit: usize,
    deadline: Duration,
}

impl CommandQueue {
    /// Creates the queue and its sender. At most `limit` commands wait or are being committed. `deadline` bounds each
    /// request from call to answer and must exceed [`RESERVED_FOR_COMMIT`].
    #[must_use]
    pub fn channel(limit: usize, deadline: Duration) -> (Self, mpsc::Receiver<QueuedSubmission>) {
        let (queue, submissions) = mpsc::channel(limit);
        (Self { queue, places: Arc::new(Semaphore::new(limit)), limit, deadline }, submissions)
    }

    /// Submits a request; returns shortly after the deadline at the latest. Dropping the future cancels the request
    /// unless the committer has taken it.
    pub async fn execute(&self, submission: Submission) -> Executed {
        self.execute_until(submission, std::future::pending()).await
    }

    /// Like [`CommandQueue::execute`]. When `given_up` completes, the caller has stopped waiting: a request that the
    /// committer has not taken is then refused.
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
        // A request larger than the limit takes the whole queue.
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

    /// The committer is gone. A command that it did not take has not happened.
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

/// A command in the queue. The committer must take it before running it.
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

/// A command that the committer has taken: only the committer answers it, and must.
#[derive(Debug)]
pub struct TakenSubmission {
    /// The request.
    pub submission: Submission,
    /// When the caller must have an answer.
    pub deadline: Instant,
    taken_at: Instant,
    reply: oneshot::Sender<Answer>,
    /// Released with the answer: a taken command still counts.
    _places: OwnedSemaphorePermit,
}

impl TakenSubmission {
    /// How many commands it holds.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.submission.request.commands()
    }

    /// Whether the caller's time is up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Time since it was taken.
    #[must_use]
    pub fn since_taken(&self) -> Duration {
        self.taken_at.elapsed()
    }

    /// Refuses the command because of a failure, and logs that in the request's span.
    pub fn refuse(self, refusal: Refusal, cause: &(dyn Error + 'static)) {
        self.submission.span.in_scope(|| tracing::warn!(cause = chain(cause), "{refusal}"));
        self.answer(Err(refusal));
    }

    /// Sends the answer. Does nothing if the caller is gone.
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
