//! Every statement of the projection.

use shared::postgres::Session;
use tokio_postgres::{Error, Statement, types::ToSql};

/// A parameter of a statement.
pub(super) type Param<'p> = &'p (dyn ToSql + Sync);

/// Whoever applies locks the status row first: without it two appliers at once give a wrong summary, and bring a
/// deleted slot back.
pub(super) const LOCK_STATUS: &str = "SELECT epoch FROM replication_status FOR UPDATE";

pub(super) const UPSERT: &str = include_str!("sql/upsert.sql");
pub(super) const DELETE: &str = include_str!("sql/delete.sql");
pub(super) const SETTLE: &str = include_str!("sql/settle.sql");

/// The same bytes delivered again are the same letter; only now it may be known which position they are of. One that is
/// settled already is not settled by it.
pub(super) const WRITE_DEAD_LETTERS: &str = "
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
pub(super) const ADVANCE_AS_OF: &str = "
    WITH advanced AS (
        UPDATE replication_status
        SET as_of = $2, epoch = $3, applied_at = clock_timestamp()
        WHERE applied_through >= $1 AND (as_of IS NULL OR as_of < $2) AND (epoch IS NULL OR epoch = $3)
    )
    SELECT epoch FROM replication_status";
pub(super) const REPAIR: &str = include_str!("sql/repair.sql");

pub(super) const RECOUNT: &str = include_str!("sql/recount.sql");

/// Counting everything takes the longer the more there is. Where it takes longer than this it is given up, so that
/// events are not held for ever; it must leave time for the commit.
pub(super) const BOUND_RECOUNT: &str = "SELECT set_config('statement_timeout', '5s', true)";
/// A page of letters behind the one numbered `$1`, in order of their numbers.
pub(super) const PAGE: &str = "
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason, length(body) AS body_bytes
    FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2";

pub(super) const ONE: &str = "
    SELECT id, position, type, reason, dead_lettered_at, retries, last_retry_reason, length(body) AS body_bytes,
           headers::text AS headers, body
    FROM dead_letters WHERE id = $1";

/// Whatever changes what is settled or dead-lettered locks the status row first.
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

/// What the projection runs.
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
    /// Prepares them.
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
