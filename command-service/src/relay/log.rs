//! The leader's session on the primary. The leader holds a session-level advisory lock and moves the cursor on the same
//! session. A process that lost the lock therefore cannot move the cursor.

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

/// The session-level advisory lock of the leader, the one process that relays.
const LEADER_LOCK: i64 = 0x7061_726b_7265_6c61;

pub(super) const TRY_TO_LEAD: &str = "SELECT pg_try_advisory_lock($1)";

pub(super) const START: &str = "SELECT confirmed_position FROM relay_cursor";

/// Moves a cursor beyond the end of the log back to the end, for it would skip the next events. Only a recovery by hand
/// leaves such a cursor: a leader moves it no further than it has read.
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

/// Moves the cursor. It only rises under one leader.
pub(super) const ADVANCE: &str =
    "UPDATE relay_cursor SET confirmed_position = $1 WHERE confirmed_position < $1";

/// Commits do not wait for the disk: if a move of the cursor is lost, the relay only publishes again. A leader that is
/// silent for 10 s (a paused process) loses its session, and the lead with it. A primary that answers nothing for 6 s
/// counts as down, and the relay connects again.
const KIND: SessionKind = SessionKind {
    step: "relay",
    options: "-c statement_timeout=5s -c lock_timeout=2s -c synchronous_commit=off -c idle_session_timeout=10s \
              -c default_transaction_isolation=read\\ committed",
    deadline: Duration::from_secs(6),
};

/// Why the relay could not read the log or move the cursor.
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
    /// The position after the cursor is missing from the log. The relay publishes nothing past a gap.
    #[error("the log goes on at {found} where {expected} was expected")]
    Gap {
        /// The position after the cursor.
        expected: i64,
        /// The position found instead.
        found: i64,
    },
}

/// The session of the leader, or of a process ready to take the lead.
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

/// The leader's state.
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

    /// Takes the lead unless this session has it already. False if another process leads.
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

    /// Notified when a process commits.
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

    /// Moves the cursor: the broker has confirmed every event up to `position`.
    ///
    /// # Errors
    /// [`LogError`]; the relay then publishes the confirmed events again.
    pub async fn advance(&mut self, position: Position) -> Result<(), LogError> {
        let lead = self.lead.as_mut().ok_or(LogError::NotLeading)?;
        self.session.execute(&self.advance, &[&position.get()]).await?;
        lead.confirmed = position.get();
        Ok(())
    }
}

impl RelaySession {
    /// The watermark: the time up to which the log is complete. `None` while a commit is under way.
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
