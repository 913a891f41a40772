//! Finds the positions that the replica is missing.

use std::time::Duration;

use rangemap::RangeSet;
use shared::{
    postgres::{ConnectError, DatabaseUrl, Session, SessionKind},
    replica_name::Recipient,
};
use tokio_postgres::Statement;
use uuid::Uuid;

/// The most missing ranges read at a time; the others follow when these are filled.
const RANGES_MAX: i64 = 64;

/// Advisory lock: one process per replica asks for missing positions.
const SEEKER_LOCK: i64 = 0x7061_726b_686f_6c65;

/// Advisory lock for the copy that a rebuild makes in the same database.
const REBUILD_SEEKER_LOCK: i64 = SEEKER_LOCK + 1;

const TRY_TO_SEEK: &str = "SELECT pg_try_advisory_lock($1)";

/// Missing ranges up to the known end of the log, each without its upper bound. `$1` is a position that the log has,
/// for a replica of epoch `$2`.
const MISSING: &str = "
    SELECT lower(hole) AS first, upper(hole) AS next, upper(applied) AS beyond,
           coalesce(applied_at > clock_timestamp() - interval '2 seconds', false) AS is_busy
    FROM replication_status
    LEFT JOIN LATERAL unnest(
        int8multirange(int8range(0, greatest(
            upper(applied), CASE WHEN epoch = $2 OR (epoch IS NULL AND upper(applied) = 1) THEN $1::bigint + 1 END)))
        - applied) AS hole ON true
    LIMIT $3";

/// Every statement of this module, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 2] = [TRY_TO_SEEK, MISSING];

/// The replica ends a seeker's session after 10 s without a statement (a paused process), so that the standby gets
/// the lock. A seeker looks every second, and limits requests to the broker to [`ASK_DEADLINE`](super::ASK_DEADLINE).
/// A replica that does not answer for 5 s is down; the seeker then connects again.
const KIND: SessionKind = SessionKind {
    step: "holes",
    options: "-c statement_timeout=4s -c idle_session_timeout=10s -c default_transaction_read_only=on",
    deadline: Duration::from_secs(5),
};

/// Why the missing positions are unknown.
#[derive(Debug, thiserror::Error)]
pub enum SeekError {
    /// The replica is down.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The replica refused, or the connection was lost.
    #[error("the replica does not tell what is missing")]
    Sql(#[from] tokio_postgres::Error),
}

/// Missing positions of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Positions before the highest that was applied.
    pub between: RangeSet<i64>,
    /// Positions beyond it: they may still be on their way.
    pub beyond: RangeSet<i64>,
    /// Whether the replica applied something within the last two seconds.
    pub is_busy: bool,
}

/// The session of the process that looks for missing positions.
#[derive(Debug)]
pub struct SeekerSession {
    session: Session,
    missing: Statement,
}

impl SeekerSession {
    /// Connects and takes the lock; `None` if another process seeks for this recipient.
    ///
    /// # Errors
    /// [`SeekError`].
    pub async fn open(replica: &DatabaseUrl, recipient: &Recipient) -> Result<Option<Self>, SeekError> {
        let lock = match recipient {
            Recipient::Replica(_) => SEEKER_LOCK,
            Recipient::Rebuild(_) => REBUILD_SEEKER_LOCK,
        };
        let session = replica.connect(KIND).await?;
        let seeks: bool = session.query_one(TRY_TO_SEEK, &[&lock]).await?.try_get(0)?;
        if !seeks {
            return Ok(None);
        }
        let missing = session.prepare(MISSING).await?;
        Ok(Some(Self { session, missing }))
    }

    /// Reads the missing positions, given that the log has `position` in `epoch`.
    ///
    /// # Errors
    /// [`SeekError`].
    pub async fn missing(&self, position: i64, epoch: Option<Uuid>) -> Result<Missing, SeekError> {
        let rows = self.session.query(&self.missing, &[&position, &epoch, &RANGES_MAX]).await?;
        let mut missing = Missing::default();
        for row in &rows {
            missing.is_busy = row.try_get("is_busy")?;
            let (Some(first), Some(next)) = (row.try_get("first")?, row.try_get("next")?) else { continue };
            let ranges =
                if first >= row.try_get("beyond")? { &mut missing.beyond } else { &mut missing.between };
            ranges.insert(first..next);
        }
        Ok(missing)
    }
}
