//! The loop: takes the waiting commands, commits them as one batch, answers them. Batches grow with the load; there
//! is no timer.

use std::{error::Error, mem, time::Duration};

use shared::{
    process::cause::chain,
    process::{backoff::Pauses, dependency_state::Dependency},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    commit::{Resolved, commit_batch, rerun},
    draft::{Draft, Verdict},
    roundtrip::Failure,
    session::PrimarySession,
    wake::CommitSignal,
};
use crate::{
    commands::{
        Refusal,
        queue::{QueuedSubmission, TakenSubmission},
    },
    primary::connection::{Primary, PrimaryOpenError},
};

/// A batch closes once it has taken this many commands from the queue. The last request may exceed the bound: one of
/// 1,000 creates makes a batch of at most 1,255 commands, plus those on held slots.
const BATCH_MAX_COMMANDS: usize = 256;

/// The most commands that wait for slots locked elsewhere; one more gets [`Refusal::Overloaded`].
const HELD_MAX_COMMANDS: usize = 1024;

/// How soon commands on held slots are retried if no other command arrives first.
const HELD_PAUSE: Duration = Duration::from_millis(5);

/// How long a command waits for another one with the same idempotency key, to return the same answer. Longer than
/// the primary lets a stuck transaction live.
const KEY_IN_USE_WAIT: Duration = Duration::from_secs(3);

/// How often a batch is tried when others cause its rollback.
const TRIES_MAX: u8 = 2;

/// Commits the batches. One per process; it owns the connection to the primary.
#[derive(Debug)]
pub struct Committer {
    primary: Primary,
    dependency: Dependency,
    queue: mpsc::Receiver<QueuedSubmission>,
    committed: CommitSignal,
    session: Option<PrimarySession>,
    held: Vec<TakenSubmission>,
}

impl Committer {
    /// Commits what `queue` delivers. Reports the primary's state to `dependency`; notifies `committed` after each
    /// commit.
    #[must_use]
    pub fn new(
        primary: Primary,
        dependency: Dependency,
        queue: mpsc::Receiver<QueuedSubmission>,
        committed: CommitSignal,
    ) -> Self {
        Self { primary, dependency, queue, committed, session: None, held: Vec::new() }
    }

    /// Runs until every sender of the queue is closed and every command taken is answered.
    pub async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.settle(batch).await;
        }
        // The queue closed while these commands waited for the primary.
        mem::take(&mut self.held)
            .into_iter()
            .for_each(|taken| taken.answer(Err(Refusal::PrimaryUnavailable)));
    }

    /// Waits for commands and keeps the connection up. `None`: no more will come.
    async fn next_batch(&mut self) -> Option<Vec<TakenSubmission>> {
        loop {
            let Some(session) = &self.session else {
                if !self.reconnect().await {
                    return None;
                }
                continue;
            };
            let first = if self.held.is_empty() {
                tokio::select! {
                    biased;
                    submission = self.queue.recv() => Some(submission?),
                    () = session.lost() => { self.session = None; None }
                }
            } else {
                match timeout(HELD_PAUSE, self.queue.recv()).await {
                    Ok(Some(submission)) => Some(submission),
                    Ok(None) => {
                        sleep(HELD_PAUSE).await;
                        None
                    }
                    Err(_) => None,
                }
            };
            let batch = self.fill(first);
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Takes the commands on held slots first, in their order, then the queue.
    fn fill(&mut self, first: Option<QueuedSubmission>) -> Vec<TakenSubmission> {
        let (late, mut batch): (Vec<_>, Vec<_>) =
            mem::take(&mut self.held).into_iter().partition(TakenSubmission::is_late);
        late.into_iter().for_each(|taken| taken.answer(Err(Refusal::Overloaded)));
        let mut next = first;
        let mut taken_commands = 0;
        while let Some(submission) = next {
            if let Some(taken) = submission.take() {
                taken_commands += taken.commands();
                batch.push(taken);
            }
            next = if taken_commands < BATCH_MAX_COMMANDS { self.queue.try_recv().ok() } else { None };
        }
        batch
    }

    /// Commits a batch, or the commands of it that can be committed, and answers them all.
    async fn settle(&mut self, batch: Vec<TakenSubmission>) {
        // Halving a batch of n leaves at most n groups in all.
        let mut groups = vec![batch];
        while let Some(group) = groups.pop() {
            groups.extend(self.settle_group(group).await);
        }
    }

    /// Commits a group. Returns its two halves if one command is at fault.
    async fn settle_group(&mut self, mut group: Vec<TakenSubmission>) -> Vec<Vec<TakenSubmission>> {
        for attempt in 1..=TRIES_MAX {
            let Some(session) = &self.session else { break };
            let submissions: Vec<_> = group.iter().map(|taken| &taken.submission).collect();
            match commit_batch(session, &submissions, self.committed.wake()).await {
                Ok(verdicts) => {
                    self.committed.notify();
                    self.answer(group, verdicts);
                    return Vec::new();
                }
                Err(Failure::Interrupted) => self.session = None,
                Err(Failure::Unsettled(draft)) => {
                    self.session = None;
                    self.resolve(group, &draft).await;
                    return Vec::new();
                }
                Err(Failure::Retryable(error)) => {
                    tracing::info!(error = chain(&error), attempt, "batch rolled back");
                    if attempt == TRIES_MAX {
                        refuse_all(group, Refusal::Overloaded, &error);
                        return Vec::new();
                    }
                }
                Err(Failure::Unable(error)) => {
                    self.dependency.down("the primary cannot write", &error);
                    self.session = None;
                    refuse_all(group, Refusal::PrimaryUnavailable, &error);
                    return Vec::new();
                }
                Err(Failure::Culprit(error)) if group.len() == 1 => {
                    refuse_all(group, Refusal::Internal, &error);
                    return Vec::new();
                }
                Err(Failure::Culprit(_)) => {
                    let second_half = group.split_off(group.len() / 2);
                    return vec![second_half, group];
                }
            }
        }
        // Nothing was committed: these commands go into the next batch.
        self.hold(group);
        Vec::new()
    }

    /// Reruns a batch of unknown outcome until the outcome is known or all its commands are late.
    async fn resolve(&mut self, group: Vec<TakenSubmission>, draft: &Draft) {
        let mut waiting: Vec<Option<TakenSubmission>> = group.into_iter().map(Some).collect();
        let mut pauses = Pauses::new();
        loop {
            for taken in
                waiting.iter_mut().filter(|taken| taken.as_ref().is_some_and(TakenSubmission::is_late))
            {
                taken.take().into_iter().for_each(|late| late.answer(Err(Refusal::OutcomeUnknown)));
            }
            if waiting.iter().all(Option::is_none) {
                tracing::error!(events = draft.events.len(), "outcome of a batch is unknown");
                return;
            }
            if self.session.is_none()
                && let Err(error) = self.connect_once().await
            {
                self.refuse_newcomers(pauses.next_pause(), &error).await;
                continue;
            }
            let Some(session) = &self.session else { continue };
            match rerun(session, draft, self.committed.wake()).await {
                Ok(Resolved::Committed(stamps)) => {
                    self.committed.notify();
                    for (taken, verdict) in waiting.into_iter().zip(draft.verdicts(Some(stamps))) {
                        taken.into_iter().for_each(|taken| self.answer_one(taken, verdict.clone()));
                    }
                    return;
                }
                Ok(Resolved::Overtaken) => {
                    self.hold(waiting.into_iter().flatten());
                    return;
                }
                Err(failure) => {
                    tracing::warn!(error = chain(&failure), "batch is not settled yet");
                    self.session = None;
                    self.refuse_newcomers(pauses.next_pause(), &failure).await;
                }
            }
        }
    }

    fn answer(&mut self, group: Vec<TakenSubmission>, verdicts: Vec<Verdict>) {
        for (taken, verdict) in group.into_iter().zip(verdicts) {
            self.answer_one(taken, verdict);
        }
    }

    fn answer_one(&mut self, taken: TakenSubmission, verdict: Verdict) {
        match verdict {
            Verdict::Done(done) => taken.answer(Ok(done)),
            Verdict::Refused(refusal) => taken.answer(Err(refusal)),
            Verdict::KeyInUse if taken.since_taken() >= KEY_IN_USE_WAIT => {
                taken.answer(Err(Refusal::KeyInUse));
            }
            Verdict::Held | Verdict::KeyInUse => self.hold([taken]),
        }
    }

    fn hold(&mut self, group: impl IntoIterator<Item = TakenSubmission>) {
        let mut held: usize = self.held.iter().map(TakenSubmission::commands).sum();
        for taken in group {
            held += taken.commands();
            if held <= HELD_MAX_COMMANDS {
                self.held.push(taken);
            } else {
                held -= taken.commands();
                taken.answer(Err(Refusal::Overloaded));
            }
        }
    }

    /// Retries with pauses until connected. After a failed attempt it refuses every command at once: nothing of them
    /// has been sent. False: no more commands will come.
    async fn reconnect(&mut self) -> bool {
        let mut pauses = Pauses::new();
        while let Err(error) = self.connect_once().await {
            refuse_all(mem::take(&mut self.held), Refusal::PrimaryUnavailable, &error);
            self.refuse_newcomers(pauses.next_pause(), &error).await;
            if self.queue.is_closed() && self.queue.is_empty() {
                return false;
            }
        }
        true
    }

    async fn connect_once(&mut self) -> Result<(), PrimaryOpenError> {
        let opened = PrimarySession::open(&self.primary).await;
        let session = opened.inspect_err(|error| self.dependency.down(error.detail(), error))?;
        self.session = Some(session);
        self.dependency.up();
        Ok(())
    }

    /// Refuses new commands during the pause.
    async fn refuse_newcomers(&mut self, pause: Duration, cause: &(impl Error + Sync + 'static)) {
        let until = Instant::now() + pause;
        while let Ok(submission) = timeout_at(until, self.queue.recv()).await {
            let Some(submission) = submission else { return sleep_until(until).await };
            refuse_all(submission.take(), Refusal::PrimaryUnavailable, cause);
        }
    }
}

fn refuse_all(
    group: impl IntoIterator<Item = TakenSubmission>,
    refusal: Refusal,
    cause: &(dyn Error + 'static),
) {
    group.into_iter().for_each(|taken| taken.refuse(refusal, cause));
}
