//! Every statement of the projection.

use shared::postgres::Session;
use tokio_postgres::{Error, Statement, types::ToSql};

/// A parameter of a statement.
pub(super) type Param<'p> = &'p (dyn ToSql + Sync);

/// Every transaction that applies locks the status row first. Without the lock, two at once would make the summary
/// wrong and bring a deleted slot back.
pub(super) const LOCK_STATUS: &str = "SELECT epoch FROM replication_status FOR UPDATE";

pub(super) const UPSERT: &str = include_str!("sql/upsert.sql");
pub(super) const DELETE: &str = include_str!("sql/delete.sql");
pub(super) const SETTLE: &str = include_str!("sql/settle.sql");

pub(super) const WRITE_DEAD_LETTERS: &str = include_str!("sql/dead_letters.sql");

/// The stored letters among these, with the positions that they settle.
pub(super) const STORED_LETTERS: &str =
    "SELECT fingerprint, position FROM dead_letters WHERE fingerprint = ANY($1::bytea[])";

/// Deferred constraints would be checked at the commit, where it is not known which event they refuse.
pub(super) const CONSTRAINTS_AT_ONCE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// Sets `as_of` to `$2` if the replica has applied everything up to `$1`. Never makes `as_of` earlier. Locks the
/// status row, as every transaction that applies does. Returns the replica's epoch.
pub(super) const ADVANCE_AS_OF: &str = "
    WITH advanced AS (
        UPDATE replication_status
        SET as_of = $2, epoch = $3, applied_at = clock_timestamp()
        WHERE applied_through >= $1 AND (as_of IS NULL OR as_of < $2) AND (epoch IS NULL OR epoch = $3)
    )
    SELECT epoch FROM replication_status";
pub(super) const REPAIR: &str = include_str!("sql/repair.sql");

pub(super) const RECOUNT: &str = include_str!("sql/recount.sql");

/// Bounds the recount to 5 s: its time grows with the number of slots, and events wait for it. The bound must leave
/// time for the commit.
pub(super) const BOUND_RECOUNT: &str = "SELECT set_config('statement_timeout', '5s', true)";
/// A page of dead letters after number `$1`, in order of their numbers.
pub(super) const PAGE: &str = "
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason,
           coalesce(whole_bytes, length(body)::bigint) AS body_bytes, whole_bytes IS NOT NULL AS is_cut
    FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2";

pub(super) const ONE: &str = "
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason,
           coalesce(whole_bytes, length(body)::bigint) AS body_bytes, whole_bytes IS NOT NULL AS is_cut,
           headers::text AS headers, body
    FROM dead_letters WHERE id = $1";

/// Every transaction that changes settled positions or dead letters locks the status row first.
pub(super) const LOCK_ROW: &str = "SELECT FROM replication_status FOR UPDATE";

pub(super) const FORGET: &str = "DELETE FROM dead_letters WHERE id = $1";
pub(super) const DEAD_LETTER: &str = "
    SELECT position, headers::text AS headers, body, whole_bytes FROM dead_letters WHERE id = $1 FOR UPDATE";

pub(super) const NOTE_FAILURE: &str =
    "UPDATE dead_letters SET retries = retries + 1, last_retry_reason = $2 WHERE id = $1";

/// Every statement of the projection, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 17] = [
    LOCK_STATUS,
    UPSERT,
    DELETE,
    SETTLE,
    WRITE_DEAD_LETTERS,
    STORED_LETTERS,
    CONSTRAINTS_AT_ONCE,
    ADVANCE_AS_OF,
    REPAIR,
    RECOUNT,
    BOUND_RECOUNT,
    PAGE,
    ONE,
    LOCK_ROW,
    FORGET,
    DEAD_LETTER,
    NOTE_FAILURE,
];

/// The prepared statements that apply batches and watermarks.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) lock_status: Statement,
    pub(super) upsert: Statement,
    pub(super) delete: Statement,
    pub(super) settle: Statement,
    pub(super) dead_lettered: Statement,
    pub(super) advance_as_of: Statement,
    pub(super) repair: Statement,
    pub(super) recount: Statement,
}

impl Statements {
    /// Prepares all of them.
    pub(super) async fn prepare(session: &Session) -> Result<Self, Error> {
        let (lock_status, upsert, delete, settle, dead_lettered, advance_as_of, repair, recount) = tokio::try_join!(
            session.prepare(LOCK_STATUS),
            session.prepare(UPSERT),
            session.prepare(DELETE),
            session.prepare(SETTLE),
            session.prepare(WRITE_DEAD_LETTERS),
            session.prepare(ADVANCE_AS_OF),
            session.prepare(REPAIR),
            session.prepare(RECOUNT),
        )?;
        Ok(Self { lock_status, upsert, delete, settle, dead_lettered, advance_as_of, repair, recount })
    }
}
