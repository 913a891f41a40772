//! The leader's session on the primary. Leading is a session-level advisory lock; the cursor moves on that same
//! session, so a process that has lost the lock cannot move it.

use std::{sync::Arc, time::Duration};

use shared::{
    messages::{
        event::{EventType, LoggedEvent},
        watermark::Watermark,
    },
    position::Position,
    postgres::{Session, SessionKind},
    slot::{Slot, SlotEvent},
};
use tokio::sync::Notify;
use tokio_postgres::{Row, Statement};

use super::watermark;
use crate::{
    primary::connection::{Primary, PrimaryOpenError},
    register::place::Sighting,
};

/// The session-level advisory lock of the process that relays.
const LEADER_LOCK: i64 = 0x7061_726b_7265_6c61;

pub(super) const TRY_TO_LEAD: &str = "SELECT pg_try_advisory_lock($1)";

pub(super) const START: &str = "SELECT confirmed_position FROM relay_cursor";

/// A cursor beyond the end of the log, as after a recovery by hand, would pass over what comes next. No leader moves it
/// beyond what it has read.
pub(super) const REWIND: &str = "
    UPDATE relay_cursor SET confirmed_position = log.position
    FROM (SELECT coalesce(max(position), 0) AS position FROM parking_slot_events) AS log
    WHERE confirmed_position > log.position RETURNING confirmed_position";

pub(super) const AFTER_CURSOR: &str = "
    SELECT position, version, committed_at, created_at, id, slot_uuid, type, status, name, changed, traceparent,
           (SELECT epoch FROM epoch) AS epoch
    FROM parking_slot_events WHERE position > $1 ORDER BY position LIMIT $2";

pub(super) const BETWEEN: &str = "
    SELECT position, version, committed_at, created_at, id, slot_uuid, type, status, name, changed, traceparent,
           (SELECT epoch FROM epoch) AS epoch
    FROM parking_slot_events WHERE position BETWEEN $1 AND $2 ORDER BY position";

/// The cursor only rises, as long as one leads.
pub(super) const ADVANCE: &str =
    "UPDATE relay_cursor SET confirmed_position = $1 WHERE confirmed_position < $1";

/// A lost move of the cursor only makes the relay publish again, so its commits do not wait for the disk. A leader
/// that says nothing for 10 s (a paused process) loses its session, and the lead with it. A primary that answers nothing
/// for 6 s is down, and the relay connects again.
const KIND: SessionKind = SessionKind {
    step: "relay",
    options: "-c statement_timeout=5s -c lock_timeout=2s -c synchronous_commit=off -c idle_session_timeout=10s \
              -c default_transaction_isolation=read\\ committed",
    deadline: Duration::from_secs(6),
};

/// Why the log could not be read or the cursor not moved.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The primary is down.
    #[error(transparent)]
    Open(#[from] PrimaryOpenError),
    /// The primary refused, or the connection was lost.
    #[error("the log could not be read")]
    Sql(#[from] tokio_postgres::Error),
    /// Another process leads.
    #[error("another process relays")]
    NotLeading,
    /// The log does not go on where the cursor stands. Nothing is published past a gap.
    #[error("the log goes on at {found} where {expected} was expected")]
    Gap {
        /// The position after the cursor.
        expected: i64,
        /// The position that came.
        found: i64,
    },
}

/// The session of a process that leads, or stands by to lead.
#[derive(Debug)]
pub struct RelaySession {
    primary: Primary,
    session: Session,
    after_cursor: Statement,
    advance: Statement,
    start: Statement,
    rewind: Statement,
    take_watermark: Statement,
    lead: Option<Lead>,
}

/// What the leader knows.
#[derive(Debug)]
struct Lead {
    confirmed: i64,
}

impl RelaySession {
    /// Connects and listens for commits of other processes.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn open(primary: &Primary) -> Result<Self, LogError> {
        let session = primary.connect(KIND).await?;
        session.batch_execute("LISTEN parking_slot_events").await?;
        let (start, rewind, after_cursor, advance, take_watermark) = tokio::try_join!(
            session.prepare(START),
            session.prepare(REWIND),
            session.prepare(AFTER_CURSOR),
            session.prepare(ADVANCE),
            session.prepare(watermark::TAKE),
        )?;
        let primary = primary.clone();
        Ok(Self { primary, session, start, rewind, after_cursor, advance, take_watermark, lead: None })
    }

    /// Takes the lead unless it has it already. False: another process leads.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn leads(&mut self) -> Result<bool, LogError> {
        if self.lead.is_none() {
            let leads: bool = self.session.query_one(TRY_TO_LEAD, &[&LEADER_LOCK]).await?.try_get(0)?;
            if leads {
                if let Some(end) = self.session.query_opt(&self.rewind, &[]).await? {
                    let position: i64 = end.try_get("confirmed_position")?;
                    tracing::warn!(position, "the cursor was beyond the end of the log and is put back");
                }
                let row = self.session.query_one(&self.start, &[]).await?;
                self.lead = Some(Lead { confirmed: row.try_get("confirmed_position")? });
            }
        }
        Ok(self.lead.is_some())
    }

    /// Wakes when a process commits.
    #[must_use]
    pub fn notified(&self) -> Arc<Notify> {
        self.session.notified()
    }

    /// Waits until the connection is lost, and the lead with it.
    pub async fn lost(&self) {
        self.session.lost().await;
    }

    /// The next events after the cursor, at most `limit`, consecutive.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn after_cursor(&self, limit: i64) -> Result<Vec<LoggedEvent>, LogError> {
        let lead = self.lead.as_ref().ok_or(LogError::NotLeading)?;
        let rows = self.session.query(&self.after_cursor, &[&lead.confirmed, &limit]).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (row, expected) in rows.iter().zip(lead.confirmed + 1..) {
            let event = logged_event(row)?;
            let found = event.position.get();
            if found != expected {
                return Err(LogError::Gap { expected, found });
            }
            events.push(event);
        }
        if let Some(LoggedEvent { epoch, position, committed_at, .. }) = events.last() {
            let (epoch, position, committed_at) = (*epoch, position.get(), *committed_at);
            self.primary.saw(Sighting { epoch, position, committed_at });
        }
        Ok(events)
    }

    /// Remembers that the broker has confirmed everything up to `position`.
    ///
    /// # Errors
    /// [`LogError`]; what was confirmed will then be published again.
    pub async fn advance(&mut self, position: Position) -> Result<(), LogError> {
        let lead = self.lead.as_mut().ok_or(LogError::NotLeading)?;
        self.session.execute(&self.advance, &[&position.get()]).await?;
        lead.confirmed = position.get();
        Ok(())
    }
}

impl RelaySession {
    /// Says up to when the log is complete; `None` while somebody commits.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn watermark(&self) -> Result<Option<Watermark>, LogError> {
        Ok(watermark::take(&self.session, &self.take_watermark).await?)
    }
}

pub(super) fn logged_event(row: &Row) -> Result<LoggedEvent, tokio_postgres::Error> {
    let (uuid, version) = (row.try_get("slot_uuid")?, row.try_get("version")?);
    let slot = || -> Result<Slot, tokio_postgres::Error> {
        Ok(Slot { uuid, name: row.try_get("name")?, status: row.try_get("status")?, version })
    };
    let event = match row.try_get("type")? {
        EventType::Create => SlotEvent::Created(slot()?),
        EventType::Update => SlotEvent::Updated { slot: slot()?, changed: row.try_get("changed")? },
        EventType::Delete => SlotEvent::Deleted { uuid, version },
    };
    Ok(LoggedEvent {
        position: row.try_get("position")?,
        id: row.try_get("id")?,
        epoch: row.try_get("epoch")?,
        committed_at: row.try_get("committed_at")?,
        created_at: row.try_get("created_at")?,
        traceparent: row.try_get("traceparent")?,
        event,
    })
}
