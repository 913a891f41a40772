//! The task that asks the primary where the log ends.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    handle::{LogEndHandle, Question},
    known_end::SharedEnd,
    session::{LOG_END_DEADLINE, LogSession, Snapshot},
};
use crate::{primary::connection::Primary, register::place::LogEnd};

/// How often the primary is asked while no read does: so that its clock is known, to a hundredth of a second.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How often a primary that is down is looked for while no read asks.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Asks the primary for every read of this process.
#[derive(Debug)]
pub struct LogEndReader {
    primary: Primary,
    questions: mpsc::Receiver<Question>,
    known: SharedEnd,
}

impl LogEndHandle {
    /// A way to ask, and the task that answers. At most `limit` reads ask at a time.
    #[must_use]
    pub fn channel(primary: Primary, limit: usize) -> (Self, LogEndReader) {
        let (sender, questions) = mpsc::channel(limit);
        let known = SharedEnd::default();
        let handle = Self { primary: primary.clone(), questions: sender, known: known.clone() };
        (handle, LogEndReader { primary, questions, known })
    }
}

impl LogEndReader {
    /// Answers questions until `shutdown` is cancelled. A read without an answer knows that the primary is down.
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

    /// Answers what has been asked so far, by one snapshot. Gives back the session if it can be used again.
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
            tell(&session, snapshot.end, questions).await.ok()?;
            Some(session)
        });
        let session = answered.await.ok().flatten();
        if session.is_none() {
            self.known.forget_end();
        }
        session
    }

    /// Looks at the log. If it is shorter than the replica says, a new session checks first whether this is still the same
    /// log.
    async fn snapshot(&self, session: LogSession) -> Option<(LogSession, Snapshot)> {
        let applied = self.primary.said_to_be_applied();
        let snapshot = session.snapshot().await.ok()?;
        let (session, snapshot) = match applied {
            Some(applied)
                if applied.epoch == snapshot.end.epoch && applied.position > snapshot.end.position =>
            {
                drop(session);
                let session = LogSession::open(&self.primary).await?;
                let snapshot = session.snapshot().await.ok()?;
                (session, snapshot)
            }
            _ => (session, snapshot),
        };
        snapshot.last.into_iter().for_each(|last| self.primary.saw(last));
        Some((session, snapshot))
    }
}

/// Waits until the session is lost; for ever if there is none.
async fn lost(session: Option<&LogSession>) {
    match session {
        Some(session) => session.session.lost().await,
        None => std::future::pending().await,
    }
}

/// Answers each question. Drops the answers of reads that have ended meanwhile.
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
