//! The committer's connection to the primary, with its statements prepared.

use std::time::Duration;

use futures_util::future::try_join3;
use shared::postgres::{Session, SessionKind};
use tokio_postgres::Statement;

use super::idempotency_keys::{KEEP_KEYS, KEPT_KEYS, RESERVE_FREE_KEYS, RESERVE_KEYS};
use crate::primary::connection::{Primary, PrimaryOpenError};

/// Locks and reads the slots that no other transaction has locked.
pub(super) const LOCK_FREE_SLOTS: &str = "
    SELECT uuid, version, position, created_at, updated_at, status, name, (SELECT epoch FROM epoch) AS epoch
    FROM parking_slots WHERE uuid = ANY($1) ORDER BY uuid FOR UPDATE SKIP LOCKED";

/// Which of the slots exist, locked or not.
pub(super) const EXISTING_SLOTS: &str = "SELECT uuid FROM parking_slots WHERE uuid = ANY($1)";

/// Locks the slots, waiting for other transactions, and returns their versions.
pub(super) const LOCK_SLOTS: &str =
    "SELECT uuid, version, position FROM parking_slots WHERE uuid = ANY($1) ORDER BY uuid FOR UPDATE";

pub(super) const APPEND: &str = include_str!("sql/append.sql");

/// Finds these events in the log.
pub(super) const FIND_EVENTS: &str = "
    SELECT count(*) AS events, min(position) AS first_position, min(committed_at) AS first_time,
           (SELECT epoch FROM epoch) AS epoch
    FROM parking_slot_events
    JOIN unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS sought (slot_uuid, version, id)
         USING (slot_uuid, version, id)";

/// Bounds, from the inside out: a lock wait lasts 2 s, a statement 3 s. The primary ends a transaction whose client
/// is silent for 2 s (a paused process), so that it stalls no other. A waiting backend notices within 500 ms that
/// its client is gone. The client waits 3.5 s for each answer, longer than a statement may run. Then it closes the
/// session, and the outcome of what it sent is unknown. A batch is up to four statements; a slow primary may take
/// longer for all of them, since a batch cut off would have to start over.
const KIND: SessionKind = SessionKind {
    step: "group commit",
    options: "-c lock_timeout=2s -c statement_timeout=3s -c idle_in_transaction_session_timeout=2s \
              -c client_connection_check_interval=500ms -c default_transaction_isolation=read\\ committed \
              -c synchronous_commit=on",
    deadline: Duration::from_millis(3_500),
};

/// A connection that commits batches, one at a time.
#[derive(Debug)]
pub struct PrimarySession {
    /// Learns of every commit on this session.
    pub(super) primary: Primary,
    pub(super) session: Session,
    pub(super) lock_free_slots: Statement,
    pub(super) existing_slots: Statement,
    pub(super) lock_slots: Statement,
    pub(super) reserve_free_keys: Statement,
    pub(super) reserve_keys: Statement,
    pub(super) kept_keys: Statement,
    pub(super) append: Statement,
    pub(super) keep_keys: Statement,
    pub(super) find_events: Statement,
}

impl PrimarySession {
    /// Connects and prepares the statements.
    ///
    /// # Errors
    /// [`PrimaryOpenError`].
    pub async fn open(primary: &Primary) -> Result<Self, PrimaryOpenError> {
        let session = primary.connect(KIND).await?;
        let prepared = tokio::try_join!(
            try_join3(
                session.prepare(LOCK_FREE_SLOTS),
                session.prepare(EXISTING_SLOTS),
                session.prepare(LOCK_SLOTS),
            ),
            try_join3(
                session.prepare(RESERVE_FREE_KEYS),
                session.prepare(RESERVE_KEYS),
                session.prepare(KEPT_KEYS),
            ),
            try_join3(session.prepare(APPEND), session.prepare(KEEP_KEYS), session.prepare(FIND_EVENTS)),
        );
        let (slots, keys, log) = prepared.map_err(|error| PrimaryOpenError::of(error, &session))?;
        let (lock_free_slots, existing_slots, lock_slots) = slots;
        let (reserve_free_keys, reserve_keys, kept_keys) = keys;
        let (append, keep_keys, find_events) = log;
        Ok(Self {
            primary: primary.clone(),
            session,
            lock_free_slots,
            existing_slots,
            lock_slots,
            reserve_free_keys,
            reserve_keys,
            kept_keys,
            append,
            keep_keys,
            find_events,
        })
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.session.lost().await;
    }
}
