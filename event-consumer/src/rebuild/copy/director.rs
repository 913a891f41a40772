//! The connection from which a rebuild is directed.

use std::time::Duration;

use shared::postgres::{DatabaseUrl, Fault, Session, SessionKind, migration::MigrateError};
use tokio::time::timeout;
use uuid::Uuid;

use super::fault::StepError;

/// The schema in which the copy is made.
pub const SCHEMA: &str = "rebuild";

/// The schema to which the replica's old tables go.
pub const REPLACED: &str = "replaced";

/// One process rebuilds a replica. Held by the session, so also by what a killed process has left to the server.
const REBUILD_LOCK: i64 = 0x7061_726b_7265_6275;

pub(super) const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// What stands in the comment of a schema; null without such a schema.
pub(super) const MARKED: &str = "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') AS mark
    FROM pg_namespace WHERE nspname = $1";

/// What the comments of our schemas begin with; behind it stands which rebuild made them.
pub(super) const MARK: &str = "Made by event-consumer rebuild ";

/// The server notices soon that the process was killed, also while a statement waits for a lock; and ends a transaction
/// whose process stands still. One message holds several statements of up to 60 s, so the client waits 150 s for its
/// answer; then it closes the session and looks on another one what became of the step.
const KIND: SessionKind = SessionKind {
    step: "rebuild",
    options: "-c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=5s \
              -c client_connection_check_interval=250 -c synchronous_commit=on -c search_path=public",
    deadline: Duration::from_secs(150),
};

/// How long connecting and asking for the lock may take. At the limit the replica counts as down.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);

/// The session that directs a rebuild. Everything that changes the schemas goes through it, so that all of it has ended
/// when another one gets the lock.
#[derive(Debug)]
pub struct Director {
    pub(super) session: Session,
    pub(super) rebuild: Uuid,
}

impl Director {
    /// Connects for the rebuild of this number.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Another`] also while the server still ends the session of a process that was killed.
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

    /// Whether the same may succeed soon, on this connection or on another one.
    #[must_use]
    pub fn may_succeed_later(&self, error: &StepError) -> bool {
        match error {
            StepError::Connect(_) | StepError::Deadline => true,
            StepError::Migrate(error) => {
                self.is_lost()
                    || matches!(
                        error,
                        MigrateError::Connect(_) | MigrateError::Start(_) | MigrateError::Locked
                    )
            }
            StepError::Sql(error) => {
                matches!(self.session.fault(error), Fault::Retryable | Fault::ConnectionLost)
            }
            _ => false,
        }
    }

    /// Whether the copy that this rebuild makes is still there.
    ///
    /// # Errors
    /// [`StepError::Removed`] if not.
    pub async fn must_have_copy(&self) -> Result<(), StepError> {
        match self.has_marked(self::SCHEMA).await? {
            true => Ok(()),
            false => Err(StepError::Removed),
        }
    }

    /// Whether the copy has taken the replica's place. It is asked for when the answer to the swap was lost.
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

    /// What the comments of this rebuild's schemas say.
    pub(super) fn mark(&self) -> String {
        format!("{MARK}{}", self.rebuild)
    }
}
