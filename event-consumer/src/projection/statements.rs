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

/// Writes dead letters. The same bytes delivered again are the same dead letter; its position is added if it is known
/// only now. A position that is already settled is left out: the dead letter does not settle it.
pub(super) const WRITE_DEAD_LETTERS: &str = "
    INSERT INTO dead_letters (position, type, reason, headers, body)
    SELECT (SELECT letter.position FROM replication_status WHERE NOT applied @> letter.position),
           type, reason, headers::json, body
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[])
         AS letter (position, type, reason, headers, body)
    ON CONFLICT (fingerprint) DO UPDATE SET position = excluded.position
    WHERE dead_letters.position IS NULL AND excluded.position IS NOT NULL";

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
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason, length(body) AS body_bytes
    FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2";

pub(super) const ONE: &str = "
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason, length(body) AS body_bytes,
           headers::text AS headers, body
    FROM dead_letters WHERE id = $1";

/// Every transaction that changes settled positions or dead letters locks the status row first.
pub(super) const LOCK_ROW: &str = "SELECT FROM replication_status FOR UPDATE";

pub(super) const FORGET: &str = "DELETE FROM dead_letters WHERE id = $1";
pub(super) const DEAD_LETTER: &str =
    "SELECT position, headers::text AS headers, body FROM dead_letters WHERE id = $1 FOR UPDATE";

pub(super) const NOTE_FAILURE: &str =
    "UPDATE dead_letters SET retries = retries + 1, last_retry_reason = $2 WHERE id = $1";

/// Every statement of the projection, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 15] = [
    LOCK_STATUS,
    UPSERT,
    DELETE,
    SETTLE,
    WRITE_DEAD_LETTERS,
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
