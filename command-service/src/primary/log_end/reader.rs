//! The task that asks the primary where the log ends.

use std::time::Duration;

use shared::process::dependency_state::Dependency;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    handle::{Asking, LogEndHandle, Question},
    known_end::SharedEnd,
    session::{EndReadError, LOG_END_DEADLINE, LogSession, Snapshot},
};
use crate::{primary::connection::Primary, register::place::LogEnd};

/// Interval at which the reader asks without a question. It keeps the primary's clock known to a hundredth of a second.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which the reader tries a primary that is down, without a question.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Asks the primary on behalf of every read of this process.
#[derive(Debug)]
pub struct LogEndReader {
    primary: Primary,
    questions: mpsc::Receiver<Question>,
    known: SharedEnd,
    dependency: Option<Dependency>,
}

impl LogEndHandle {
    /// Creates a handle and the reader that answers it. At most `limit` questions wait at a time. The reader reports
    /// the primary's state to `dependency`; `None`: another task of this process does.
    #[must_use]
    pub fn channel(primary: Primary, limit: usize, dependency: Option<Dependency>) -> (Self, LogEndReader) {
        let (sender, questions) = mpsc::channel(limit);
        let known = SharedEnd::default();
        let asking = Asking { primary: primary.clone(), questions: sender };
        let handle = Self { asking: Some(asking), known: known.clone() };
        (handle, LogEndReader { primary, questions, known, dependency })
    }
}

impl LogEndReader {
    /// Answers questions until `shutdown` is cancelled. A question without an answer means that the primary is down.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let looking = async {
            let mut session = self.answer(None, None).await;
            loop {
                let interval = if session.is_some() { REFRESH_INTERVAL } else { RETRY_INTERVAL };
                let first = tokio::select! {
                    question = self.questions.recv() => match question {
                        Some(question) => Some(question),
                        None => return,
                    },
                    () = lost(session.as_ref()) => None,
                    () = self.primary.doubted() => None,
                    () = sleep(interval) => None,
                };
                session = self.answer(first, session).await;
            }
        };
        shutdown.run_until_cancelled(looking).await;
    }

    /// Answers all waiting questions from one snapshot. Returns the session if it can be used again.
    async fn answer(&mut self, first: Option<Question>, session: Option<LogSession>) -> Option<LogSession> {
        let mut questions: Vec<Question> = first.into_iter().collect();
        while let Ok(question) = self.questions.try_recv() {
            questions.push(question);
        }
        let session = session.filter(|session| !session.session.is_closed());
        if session.is_none() {
            self.known.forget_end();
        }
        let answered = timeout(LOG_END_DEADLINE, async {
            let session = match session {
                Some(session) => session,
                None => LogSession::open(&self.primary).await?,
            };
            let (session, snapshot) = self.snapshot(session).await?;
            self.known.learn(&snapshot);
            tell(&session, snapshot.end, questions).await?;
            Ok(session)
        });
        let answered = answered.await.unwrap_or(Err(EndReadError::Late));
        if answered.is_err() {
            self.known.forget_end();
        }
        self.report(answered.as_ref().err());
        answered.ok()
    }

    fn report(&self, error: Option<&EndReadError>) {
        match (&self.dependency, error) {
            (None, _) => {}
            (Some(dependency), None) => dependency.up(),
            (Some(dependency), Some(error)) => dependency.down(error.detail(), error),
        }
    }

    /// Takes a snapshot of the log. If the log ends before what the replica has applied, opens a new session, which
    /// checks whether this is still the same log. That session then takes the snapshot again.
    async fn snapshot(&self, session: LogSession) -> Result<(LogSession, Snapshot), EndReadError> {
        let applied = self.primary.said_to_be_applied();
        let snapshot = session.snapshot().await?;
        let (session, snapshot) = match applied {
            Some(applied)
                if applied.epoch == snapshot.end.epoch && applied.position > snapshot.end.position =>
            {
                drop(session);
                let session = LogSession::open(&self.primary).await?;
                let snapshot = session.snapshot().await?;
                (session, snapshot)
            }
            _ => (session, snapshot),
        };
        snapshot.last.into_iter().for_each(|last| self.primary.saw(last));
        Ok((session, snapshot))
    }
}

/// Waits until the session is lost, or for ever without a session.
async fn lost(session: Option<&LogSession>) {
    match session {
        Some(session) => session.session.lost().await,
        None => std::future::pending().await,
    }
}

/// Answers each question. Drops the answers to reads that ended meanwhile.
async fn tell(
    session: &LogSession,
    end: LogEnd,
    questions: Vec<Question>,
) -> Result<(), tokio_postgres::Error> {
    for question in questions {
        match question {
            Question::End(reply) => {
                let _ = reply.send(end);
            }
            Question::LastEvent(position, reply) => {
                let _ = reply.send((end, session.last_event(position).await?));
            }
        }
    }
    Ok(())
}
