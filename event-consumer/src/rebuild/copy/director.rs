//! The connection that directs a rebuild.

use std::time::Duration;

use shared::postgres::{DatabaseUrl, Fault, Session, SessionKind};
use tokio::time::timeout;
use uuid::Uuid;

use super::fault::StepError;

/// The schema of the new copy.
pub const SCHEMA: &str = "rebuild";

/// The schema that receives the replica's old tables.
pub const REPLACED: &str = "replaced";

/// Advisory lock: one process rebuilds a replica. A killed process's session keeps it until the server ends it.
const REBUILD_LOCK: i64 = 0x7061_726b_7265_6275;

pub(super) const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// Reads the comment of a schema; no row without such a schema.
pub(super) const MARKED: &str = "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') AS mark
    FROM pg_namespace WHERE nspname = $1";

/// Prefix of the comments of our schemas; the rebuild's id follows.
pub(super) const MARK: &str = "Made by event-consumer rebuild ";

/// The server soon notices a killed process, also while a statement waits for a lock, and ends a paused process's
/// transaction. A message contains several statements of up to 60 s, so the client waits 150 s. Then it looks for the
/// step's result on another session.
const KIND: SessionKind = SessionKind {
    step: "rebuild",
    options: "-c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=5s \
              -c client_connection_check_interval=250 -c synchronous_commit=on -c search_path=public",
    deadline: Duration::from_secs(150),
};

/// Bound for connecting and asking for the lock. At the limit the replica counts as down.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);

/// The session that directs a rebuild. Every schema change goes through it, so all have ended when another session
/// gets the lock.
#[derive(Debug)]
pub struct Director {
    pub(super) session: Session,
    pub(super) rebuild: Uuid,
}

impl Director {
    /// Connects for this rebuild and takes its lock.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Another`] also while the server still ends a killed process's session.
    pub async fn open(replica: &DatabaseUrl, rebuild: Uuid) -> Result<Self, StepError> {
        let opening = async {
            let session = replica.connect(KIND).await?;
            match session.query_one(TRY_LOCK, &[&REBUILD_LOCK]).await?.try_get(0)? {
                true => Ok(Self { session, rebuild }),
                false => Err(StepError::Another),
            }
        };
        timeout(OPEN_DEADLINE, opening).await.unwrap_or(Err(StepError::Deadline))
    }

    /// Whether the connection is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.session.is_closed()
    }

    /// Whether the same step may succeed soon, on this connection or another one.
    #[must_use]
    pub fn may_succeed_later(&self, error: &StepError) -> bool {
        match error {
            StepError::Connect(_) | StepError::Deadline => true,
            StepError::Migrate(error) => self.is_lost() || error.may_succeed_later(),
            StepError::Sql(error) => {
                matches!(self.session.fault(error), Fault::Retryable | Fault::ConnectionLost)
            }
            _ => false,
        }
    }

    /// Checks that this rebuild's copy still exists.
    ///
    /// # Errors
    /// [`StepError::Removed`] if not.
    pub async fn must_have_copy(&self) -> Result<(), StepError> {
        match self.has_marked(self::SCHEMA).await? {
            true => Ok(()),
            false => Err(StepError::Removed),
        }
    }

    /// Whether the copy has taken the replica's place. Used when the answer to the swap was lost.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn has_swapped(&self) -> Result<bool, StepError> {
        self.has_marked(self::REPLACED).await
    }

    async fn has_marked(&self, schema: &str) -> Result<bool, StepError> {
        let row = self.session.query_opt(MARKED, &[&schema]).await?;
        let mark = row.map(|row| row.try_get::<_, String>("mark")).transpose()?;
        Ok(mark.is_some_and(|mark| mark == self.mark()))
    }

    /// The comment of this rebuild's schemas.
    pub(super) fn mark(&self) -> String {
        format!("{MARK}{}", self.rebuild)
    }
}
