//! Where the primary's log ends. Reads that ask at the same time share one snapshot, as long as it is sent after each of
//! them asked.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use shared::{
    position::Position,
    postgres::{Session, SessionKind},
    slot::Version,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_postgres::Statement;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{clock::PrimaryClock, connection::Primary};
use crate::register::{
    place::{LogEnd, Sighting},
    receipt::WriteReceipt,
};

/// How long a look may take, connecting included.
pub const LOG_END_DEADLINE: Duration = Duration::from_secs(1);

/// How often the primary is asked while no read does: so that its clock is known, to a hundredth of a second.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// How often a primary that is down is looked for while no read asks.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

const KIND: SessionKind = SessionKind {
    step: "freshness",
    options: "-c statement_timeout=1s -c default_transaction_read_only=on \
              -c default_transaction_isolation=read\\ committed",
};

/// A clock that is behind the log was set back; commit times then do not tell how old something is.
pub(super) const END: &str = "
    SELECT (SELECT epoch FROM epoch) AS epoch, last.position, last.committed_at, clock_timestamp() AS clock,
           clock_timestamp() < greatest(last.committed_at, (SELECT as_of FROM log_watermark)) AS clock_is_behind
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true";

pub(super) const LAST_EVENT: &str = "
    SELECT event.slot_uuid, event.version, event.committed_at, relay_cursor.confirmed_position
    FROM parking_slot_events AS event, relay_cursor WHERE event.position = $1";

/// What the log says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedWrite {
    /// The slot of its last event.
    pub slot: Uuid,
    /// The version that the event made.
    pub version: Version,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The broker has confirmed everything up to this position.
    pub confirmed_position: i64,
}

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogEndError {
    /// The primary is down, or did not answer in time.
    #[error("the primary database is down")]
    Down,
    /// Too many reads ask already.
    #[error("too many reads are waiting")]
    TooMany,
}

enum Question {
    End(oneshot::Sender<LogEnd>),
    LastEvent(Position, oneshot::Sender<(LogEnd, Option<LoggedWrite>)>),
}

#[derive(Clone, Copy, Debug, Default)]
struct KnownEnd {
    /// The epoch, as it said last.
    epoch: Option<Uuid>,
    /// Where the log ends at least; forgotten with the connection: the next may lead to a log that was cut.
    end: Option<LogEnd>,
    clock: Option<PrimaryClock>,
}

/// The way to ask. Clones are the same.
#[derive(Clone, Debug)]
pub struct LogEndHandle {
    primary: Primary,
    questions: mpsc::Sender<Question>,
    known: Arc<Mutex<KnownEnd>>,
}

/// The one who asks the primary.
#[derive(Debug)]
pub struct LogEndReader {
    primary: Primary,
    questions: mpsc::Receiver<Question>,
    known: Arc<Mutex<KnownEnd>>,
}

struct LogSession {
    session: Session,
    end: Statement,
    last_event: Statement,
}

impl LogEndHandle {
    /// A way to ask, and who answers. At most `limit` reads ask at a time.
    #[must_use]
    pub fn channel(primary: Primary, limit: usize) -> (Self, LogEndReader) {
        let (sender, questions) = mpsc::channel(limit);
        let known = Arc::new(Mutex::new(KnownEnd::default()));
        let handle = Self { primary: primary.clone(), questions: sender, known: Arc::clone(&known) };
        (handle, LogEndReader { primary, questions, known })
    }

    /// Where the log ends, as the primary says after this was called.
    ///
    /// # Errors
    /// [`LogEndError`], at the latest after [`LOG_END_DEADLINE`].
    pub async fn end(&self) -> Result<LogEnd, LogEndError> {
        self.ask(Question::End).await
    }

    /// Where the log ends, and what it says of a write; `None` if it ends before.
    ///
    /// # Errors
    /// [`LogEndError`], at the latest after [`LOG_END_DEADLINE`].
    pub async fn last_event(
        &self,
        write: &WriteReceipt,
    ) -> Result<(LogEnd, Option<LoggedWrite>), LogEndError> {
        self.ask(|reply| Question::LastEvent(write.last, reply)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, LogEndError> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(question(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LogEndError::TooMany,
            mpsc::error::TrySendError::Closed(_) => LogEndError::Down,
        })?;
        timeout(LOG_END_DEADLINE, answer).await.ok().and_then(Result::ok).ok_or(LogEndError::Down)
    }

    /// Where the log ended when this process last heard of it on the connection that it has, or has written it since; it
    /// may be longer now.
    #[must_use]
    pub fn known_end(&self) -> Option<LogEnd> {
        let end = lock(&self.known).end?;
        match self.primary.seen() {
            Some(seen) if seen.epoch == end.epoch => {
                Some(LogEnd { position: end.position.max(seen.position), ..end })
            }
            // What is of another epoch shows that the end has to be asked for.
            Some(_) => None,
            None => Some(end),
        }
    }

    /// The epoch when this process last heard of it.
    #[must_use]
    pub fn known_epoch(&self) -> Option<Uuid> {
        lock(&self.known).epoch
    }

    /// The primary's clock; `None` while it has not been asked yet.
    #[must_use]
    pub fn clock(&self) -> Option<PrimaryClock> {
        lock(&self.known).clock
    }
}

/// What the primary said, when it was asked.
struct Snapshot {
    end: LogEnd,
    last: Option<Sighting>,
    /// `None` if it is behind the log.
    clock: Option<PrimaryClock>,
}

impl KnownEnd {
    /// A log grows; only another epoch may be shorter.
    fn learn(&mut self, snapshot: &Snapshot) {
        self.epoch = Some(snapshot.end.epoch);
        self.clock = snapshot.clock.or(self.clock);
        match &mut self.end {
            Some(known) if known.epoch == snapshot.end.epoch => {
                known.position = known.position.max(snapshot.end.position);
            }
            known => *known = Some(snapshot.end),
        }
    }
}

fn lock(known: &Mutex<KnownEnd>) -> std::sync::MutexGuard<'_, KnownEnd> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogEndReader {
    /// Answers questions until `shutdown` is cancelled. Who gets no answer asked in vain: the primary is down.
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
            lock(&self.known).end = None;
        }
        let answered = timeout(LOG_END_DEADLINE, async {
            let session = match session {
                Some(session) => session,
                None => LogSession::open(&self.primary).await?,
            };
            let (session, snapshot) = self.snapshot(session).await?;
            lock(&self.known).learn(&snapshot);
            tell(&session, snapshot.end, questions).await.ok()?;
            Some(session)
        });
        let session = answered.await.ok().flatten();
        if session.is_none() {
            lock(&self.known).end = None;
        }
        session
    }

    /// A look at the log. If it is shorter than it is said to have been, a new session has to tell whether this is still
    /// the same log, before anybody hears of it.
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

/// Who has gone away meanwhile does not mind.
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

impl LogSession {
    async fn open(primary: &Primary) -> Option<Self> {
        let session = primary.connect(KIND).await.ok()?;
        let (end, last_event) = tokio::try_join!(session.prepare(END), session.prepare(LAST_EVENT)).ok()?;
        Some(Self { session, end, last_event })
    }

    async fn snapshot(&self) -> Result<Snapshot, tokio_postgres::Error> {
        let asked_at = Instant::now();
        let row = self.session.query_one(&self.end, &[]).await?;
        let epoch = row.try_get("epoch")?;
        let last = row.try_get::<_, Option<i64>>("position")?.zip(row.try_get("committed_at")?);
        let is_behind = row.try_get::<_, Option<bool>>("clock_is_behind")?.unwrap_or(false);
        let clock = PrimaryClock { said: row.try_get("clock")?, asked_at };
        Ok(Snapshot {
            end: LogEnd { epoch, position: last.map_or(0, |(position, _)| position) },
            last: last.map(|(position, committed_at)| Sighting { epoch, position, committed_at }),
            clock: (!is_behind).then_some(clock),
        })
    }

    async fn last_event(&self, position: Position) -> Result<Option<LoggedWrite>, tokio_postgres::Error> {
        let row = self.session.query_opt(&self.last_event, &[&position.get()]).await?;
        row.map(|row| {
            Ok(LoggedWrite {
                slot: row.try_get("slot_uuid")?,
                version: row.try_get("version")?,
                committed_at: row.try_get("committed_at")?,
                confirmed_position: row.try_get("confirmed_position")?,
            })
        })
        .transpose()
    }
}
