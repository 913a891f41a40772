//! The connection to the replica, with the projection's statements prepared.

use shared::postgres::{ConnectError, DatabaseUrl, Fault, Session, SessionKind};
use tokio_postgres::Statement;

use super::{missing, open_letters, repair, retry};

/// Whoever applies locks the status row first: without it two appliers at once give a wrong summary, and bring a
/// deleted slot back.
const LOCK_STATUS: &str = "SELECT epoch FROM replication_status FOR UPDATE";

const UPSERT: &str = include_str!("sql/upsert.sql");
const BURY: &str = include_str!("sql/bury.sql");
const SETTLE: &str = include_str!("sql/settle.sql");

/// The same bytes delivered again are the same letter; only now it may be known which position they are of. One that is
/// settled already is not settled by it.
const SET_ASIDE: &str = "
    INSERT INTO dead_letters (position, type, reason, headers, body)
    SELECT (SELECT letter.position FROM replication_status WHERE NOT applied @> letter.position),
           type, reason, headers::json, body
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[])
         AS letter (position, type, reason, headers, body)
    ON CONFLICT (fingerprint) DO UPDATE SET position = excluded.position
    WHERE dead_letters.position IS NULL AND excluded.position IS NOT NULL";

/// A replica that has applied everything up to `$1` is complete as of `$2`; one that has not, learns nothing from it. A
/// watermark never makes `as_of` earlier. It locks the row as every transaction that applies does. Says which epoch the
/// replica is of.
const ADVANCE_AS_OF: &str = "
    WITH advanced AS (
        UPDATE replication_status
        SET as_of = $2, epoch = $3, applied_at = clock_timestamp()
        WHERE applied_through >= $1 AND (as_of IS NULL OR as_of < $2) AND (epoch IS NULL OR epoch = $3)
    )
    SELECT epoch FROM replication_status";

/// Every statement of the projection, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 17] = [
    LOCK_STATUS,
    UPSERT,
    BURY,
    SETTLE,
    SET_ASIDE,
    ADVANCE_AS_OF,
    repair::MEND,
    repair::RECOUNT,
    repair::BOUND_RECOUNT,
    missing::TRY_TO_SEEK,
    missing::MISSING,
    open_letters::PAGE,
    open_letters::ONE,
    open_letters::LOCK_ROW,
    open_letters::FORGET,
    retry::LETTER,
    retry::NOTE_FAILURE,
];

/// Bounds on the server's side; the client's own deadline is longer.
pub(super) const KIND: SessionKind = SessionKind {
    step: "projection",
    options: "-c lock_timeout=5s -c statement_timeout=10s -c idle_in_transaction_session_timeout=5s \
              -c synchronous_commit=on",
};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The replica is away.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The replica went away again.
    #[error("the connection to the replica was lost")]
    Lost(#[source] tokio_postgres::Error),
    /// The replica answers, but does not know our tables, or not like this.
    #[error("the replica's schema is not the one expected")]
    Schema(#[source] tokio_postgres::Error),
}

impl OpenError {
    pub(super) fn preparing(error: tokio_postgres::Error, session: &Session) -> Self {
        match Fault::of(&error, session) {
            Fault::Unable | Fault::Data | Fault::Other => Self::Schema(error),
            Fault::ConnectionLost | Fault::Retryable => Self::Lost(error),
        }
    }
}

/// A connection on which batches are applied, one at a time.
#[derive(Debug)]
pub struct ReplicaSession {
    pub(super) session: Session,
    pub(super) statements: Statements,
}

/// What the projection runs.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) lock_status: Statement,
    pub(super) upsert: Statement,
    pub(super) bury: Statement,
    pub(super) settle: Statement,
    pub(super) set_aside: Statement,
    pub(super) advance_as_of: Statement,
    pub(super) mend: Statement,
    pub(super) recount: Statement,
}

impl ReplicaSession {
    /// Connects and prepares.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(replica: &DatabaseUrl) -> Result<Self, OpenError> {
        let session = replica.connect(KIND).await?;
        let (lock_status, upsert, bury, settle, set_aside, advance_as_of, mend, recount) = tokio::try_join!(
            session.prepare(LOCK_STATUS),
            session.prepare(UPSERT),
            session.prepare(BURY),
            session.prepare(SETTLE),
            session.prepare(SET_ASIDE),
            session.prepare(ADVANCE_AS_OF),
            session.prepare(repair::MEND),
            session.prepare(repair::RECOUNT),
        )
        .map_err(|error| OpenError::preparing(error, &session))?;
        let statements =
            Statements { lock_status, upsert, bury, settle, set_aside, advance_as_of, mend, recount };
        Ok(Self { session, statements })
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.session.lost().await;
    }
}
