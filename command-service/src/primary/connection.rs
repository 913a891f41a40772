//! Opens connections to the primary. Before use, [`Primary::connect`] checks that each leads to the same log as before.
//! A primary that was restored or replaced gets a new epoch first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::postgres::{ConnectError, DatabaseUrl, Fault, Session, SessionKind};
use tokio::{
    sync::{Notify, OnceCell},
    time::timeout,
};
use uuid::Uuid;

use super::{
    epoch::{self, EpochVerdict, Identity},
    replica_word,
};
use crate::register::place::{LogEnd, Sighting};

/// Time for the primary, once connected, to pass the check that its log is still the same.
const CHECK_DEADLINE: Duration = Duration::from_secs(3);

/// Attempts at this check while other processes give new epochs at the same time.
const CHECKS_MAX: usize = 3;

/// Time for the replica to say what it has applied. A replica that is down delays a new session by this much at most.
const REPLICA_DEADLINE: Duration = Duration::from_millis(700);

/// For sessions that only give a new epoch. A primary that answers nothing for 11 s counts as down.
const KIND: SessionKind = SessionKind {
    step: "epoch",
    options: "-c lock_timeout=5s -c statement_timeout=10s",
    deadline: Duration::from_secs(11),
};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum PrimaryOpenError {
    /// The primary is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The primary went down again, or refused for a moment.
    #[error("the connection to the primary was lost")]
    Lost(#[source] tokio_postgres::Error),
    /// The primary answers, but its tables are missing or differ from those expected.
    #[error("the primary's schema is not the one expected")]
    Schema(#[source] tokio_postgres::Error),
    /// The primary did not answer in time whether its log is still the same.
    #[error("the primary did not answer in time")]
    Deadline,
    /// The server is a standby. What it shows now may belong to another timeline later.
    #[error("the server is a standby")]
    Standby,
}

impl PrimaryOpenError {
    /// Classifies an error of a session that has just been opened.
    #[must_use]
    pub fn of(error: tokio_postgres::Error, session: &Session) -> Self {
        match session.fault(&error) {
            Fault::Unable | Fault::Data | Fault::Other => Self::Schema(error),
            Fault::ConnectionLost | Fault::Retryable => Self::Lost(error),
        }
    }

    /// The reason in short, without a host name.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Lost(_) | Self::Deadline => "not connected",
            Self::Schema(_) => "not migrated: run command-service migrate",
            Self::Standby => "a standby: not promoted yet",
        }
    }
}

/// Opens sessions on the primary and remembers what this process knows of its log. Clones share that knowledge.
#[derive(Clone, Debug)]
pub struct Primary {
    url: DatabaseUrl,
    replica: Option<DatabaseUrl>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<KnownLog>,
    asked_replica: OnceCell<()>,
    doubted: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct KnownLog {
    /// The furthest event that this process has seen on the primary.
    seen: Option<Sighting>,
    /// Position up to which the replica had applied the log when this process asked it.
    applied: Option<LogEnd>,
    /// The same, from the replica's latest report. This is only a reason to ask the replica.
    told: Option<LogEnd>,
}

impl Primary {
    /// The primary at `url`; `replica` copies its log. `None`: this process does not ask the replica. It then notices
    /// a shorter log only by what it has seen itself.
    #[must_use]
    pub fn new(url: DatabaseUrl, replica: Option<DatabaseUrl>) -> Self {
        Self { url, replica, shared: Arc::default() }
    }

    /// Opens a session on the primary. Must be called on the main runtime.
    ///
    /// # Errors
    /// [`PrimaryOpenError`].
    pub async fn connect(&self, kind: SessionKind) -> Result<Session, PrimaryOpenError> {
        let mut session = self.url.connect(kind).await?;
        self.ask_replica_if_of_use().await;
        timeout(CHECK_DEADLINE, self.check(&mut session)).await.unwrap_or(Err(PrimaryOpenError::Deadline))?;
        Ok(session)
    }

    /// Records an event that is in the log.
    pub fn saw(&self, event: Sighting) {
        let mut known = self.known();
        match &mut known.seen {
            Some(seen) if seen.epoch == event.epoch && seen.position >= event.position => {}
            seen => *seen = Some(event),
        }
    }

    /// The furthest event that this process has seen in the log.
    #[must_use]
    pub fn seen(&self) -> Option<Sighting> {
        self.known().seen
    }

    /// Records that the replica is reported to have applied the log up to here.
    pub fn told(&self, applied: LogEnd) {
        self.known().told = Some(applied);
    }

    /// As [`Primary::told`], for the first report on a new connection to the replica. Also wakes [`Primary::doubted`],
    /// so that the log is read soon.
    pub fn told_anew(&self, applied: LogEnd) {
        self.told(applied);
        self.shared.doubted.notify_one();
    }

    /// Waits until there is a reason to read the end of the log soon.
    pub async fn doubted(&self) {
        self.shared.doubted.notified().await;
    }

    /// Position up to which the replica is reported to have applied the log. If a later snapshot of the log ends before
    /// it, the caller opens a new session, which finds out why.
    #[must_use]
    pub fn said_to_be_applied(&self) -> Option<LogEnd> {
        self.known().told
    }

    fn known(&self) -> MutexGuard<'_, KnownLog> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the replica once while this process has seen no event. Asks again whenever the replica is reported to have
    /// applied more than this process has seen.
    async fn ask_replica_if_of_use(&self) {
        let KnownLog { seen, told, .. } = *self.known();
        let knows_more =
            |told: LogEnd| seen.is_none_or(|seen| seen.epoch == told.epoch && seen.position < told.position);
        if told.is_some_and(knows_more) {
            self.ask_replica().await;
        } else if seen.is_none() {
            self.shared.asked_replica.get_or_init(|| self.ask_replica()).await;
        }
    }

    /// Asks the replica how far it has applied the log. Clears the report first; the replica's next one replaces it.
    async fn ask_replica(&self) {
        let Some(replica) = &self.replica else { return };
        self.known().told = None;
        let answer = timeout(REPLICA_DEADLINE, replica_word::applied(replica)).await;
        if let Some(applied) = answer.ok().flatten() {
            self.known().applied = Some(applied);
        }
    }

    /// Compares the primary with what is known of its log. Gives it a new epoch if it was restored or replaced.
    async fn check(&self, session: &mut Session) -> Result<(), PrimaryOpenError> {
        for _ in 0..CHECKS_MAX {
            // Read before the primary is asked: its log must have all that is known by then.
            let KnownLog { seen, applied, .. } = *self.known();
            let asked = epoch::state(session, seen.map_or(0, |seen| seen.position)).await;
            let state = asked.map_err(|error| PrimaryOpenError::of(error, session))?;
            let server = state.server.ok_or(PrimaryOpenError::Standby)?;
            match state.judge(seen, applied) {
                EpochVerdict::Changed(evidence) => {
                    let renewed = epoch::renew(session, state.epoch, server).await;
                    // `None` if another process was sooner. Either way the next attempt checks the result.
                    if let Some(epoch) = renewed.map_err(|error| PrimaryOpenError::of(error, session))? {
                        let (old, new) = (state.epoch, epoch);
                        tracing::warn!(epoch.old = %old, epoch.new = %new, %evidence,
                            "the primary was restored or replaced: new epoch");
                    }
                    continue;
                }
                EpochVerdict::Unnoted => {
                    let noted = epoch::note(session, state.epoch, server).await;
                    noted.map_err(|error| PrimaryOpenError::of(error, session))?;
                }
                EpochVerdict::Same => {}
            }
            state.last.into_iter().for_each(|last| self.saw(last));
            return Ok(());
        }
        Err(PrimaryOpenError::Deadline)
    }
}

/// Gives the primary a new epoch, without checking whether it needs one.
///
/// # Errors
/// [`PrimaryOpenError`].
pub async fn give_new_epoch(url: &DatabaseUrl) -> Result<Uuid, PrimaryOpenError> {
    let mut session = url.connect(KIND).await?;
    for _ in 0..CHECKS_MAX {
        let state = epoch::state(&session, 0).await.map_err(|error| PrimaryOpenError::of(error, &session))?;
        let server: Identity = state.server.ok_or(PrimaryOpenError::Standby)?;
        let renewed = epoch::renew(&mut session, state.epoch, server).await;
        if let Some(epoch) = renewed.map_err(|error| PrimaryOpenError::of(error, &session))? {
            return Ok(epoch);
        }
    }
    Err(PrimaryOpenError::Deadline)
}
