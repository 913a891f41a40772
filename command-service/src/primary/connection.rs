//! The way to the primary. Every session on it is opened here, and held against what is known of the log before anybody
//! reads or writes on it: a primary that was restored or replaced gets a new epoch first.

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

/// How long the primary may take to say whether it is the one it was, once connected.
const CHECK_DEADLINE: Duration = Duration::from_secs(3);

/// How often it is asked when others give new epochs at the same time.
const CHECKS_MAX: usize = 3;

/// How long the replica may take to say what it has applied. Nobody waits for a replica that is down for longer.
const REPLICA_DEADLINE: Duration = Duration::from_millis(700);

/// For sessions that only give a new epoch. A primary that answers nothing for 11 s is down.
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
    /// The primary went down again, or could not work just then.
    #[error("the connection to the primary was lost")]
    Lost(#[source] tokio_postgres::Error),
    /// The primary answers, but does not know our tables, or not like this.
    #[error("the primary's schema is not the one expected")]
    Schema(#[source] tokio_postgres::Error),
    /// The primary did not say in time whether it is the one it was.
    #[error("the primary did not answer in time")]
    Deadline,
    /// What answers is a standby. What is read there now may be of another timeline later.
    #[error("the server is a standby")]
    Standby,
}

impl PrimaryOpenError {
    /// Judges an error of a session that has just been opened.
    #[must_use]
    pub fn of(error: tokio_postgres::Error, session: &Session) -> Self {
        match session.fault(&error) {
            Fault::Unable | Fault::Data | Fault::Other => Self::Schema(error),
            Fault::ConnectionLost | Fault::Retryable => Self::Lost(error),
        }
    }

    /// What is waited for, in words that name no host.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Lost(_) | Self::Deadline => "not connected",
            Self::Schema(_) => "not migrated: run command-service migrate",
            Self::Standby => "a standby: not promoted yet",
        }
    }
}

/// The way to the primary, and what this process knows of its log. Clones share it.
#[derive(Clone, Debug)]
pub struct Primary {
    url: DatabaseUrl,
    replica: DatabaseUrl,
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
    /// Up to where the replica had applied the log when it was asked.
    applied: Option<LogEnd>,
    /// Up to where it is said to have: only a reason to ask.
    told: Option<LogEnd>,
}

impl Primary {
    /// The primary at `url`, whose log `replica` is a copy of.
    #[must_use]
    pub fn new(url: DatabaseUrl, replica: DatabaseUrl) -> Self {
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

    /// Takes note of an event that is in the log.
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

    /// Takes note that the replica is said to have applied the log up to here.
    pub fn told(&self, applied: LogEnd) {
        self.known().told = Some(applied);
    }

    /// As [`Primary::told`] when the replica is heard for the first time, or again: whoever looks at the log should look
    /// soon.
    pub fn told_anew(&self, applied: LogEnd) {
        self.told(applied);
        self.shared.doubted.notify_one();
    }

    /// Waits until there is a reason to look at the log soon.
    pub async fn doubted(&self) {
        self.shared.doubted.notified().await;
    }

    /// Up to where the replica is said to have applied the log. If a look at the log that is sent after this finds it
    /// shorter, a new session will tell why.
    #[must_use]
    pub fn said_to_be_applied(&self) -> Option<LogEnd> {
        self.known().told
    }

    fn known(&self) -> MutexGuard<'_, KnownLog> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process knows that has just been started is nothing: then the replica is asked, once. And it is asked when
    /// it is said to have more than this process has seen.
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

    /// What it does not say now it will say when it is heard again.
    async fn ask_replica(&self) {
        self.known().told = None;
        let answer = timeout(REPLICA_DEADLINE, replica_word::applied(&self.replica)).await;
        if let Some(applied) = answer.ok().flatten() {
            self.known().applied = Some(applied);
        }
    }

    /// Holds the primary against what is known of it, and gives it a new epoch if it was restored or replaced.
    async fn check(&self, session: &mut Session) -> Result<(), PrimaryOpenError> {
        for _ in 0..CHECKS_MAX {
            // What is known now is compared with what the primary says later.
            let KnownLog { seen, applied, .. } = *self.known();
            let asked = epoch::state(session, seen.map_or(0, |seen| seen.position)).await;
            let state = asked.map_err(|error| PrimaryOpenError::of(error, session))?;
            let server = state.server.ok_or(PrimaryOpenError::Standby)?;
            match state.judge(seen, applied) {
                EpochVerdict::Changed(evidence) => {
                    let renewed = epoch::renew(session, state.epoch, server).await;
                    // If not by this process, then by another: what it left is looked at anew.
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

/// Gives the primary a new epoch, whatever is known of it.
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
