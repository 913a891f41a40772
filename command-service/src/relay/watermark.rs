//! Takes watermarks: how complete the log is at a moment.

use futures_util::future::join3;
use shared::{messages::watermark::Watermark, postgres::Session};
use tokio_postgres::{Error, Statement};

use crate::primary::commit_lock::COMMIT_LOCK;

/// Begins a transaction that takes the commit lock if it is free. If it is not free, a commit is under way,
/// and its own time serves instead. This is a statement of its own, so that the next statement sees every
/// earlier commit.
fn begin_if_lock_is_free() -> String {
    format!(
        "BEGIN; SET LOCAL synchronous_commit = on;
         SELECT set_config('parking.holds_commit_lock', pg_try_advisory_xact_lock({COMMIT_LOCK})::text, true)"
    )
}

/// Stores the watermark before the relay publishes it, so that no later event has an earlier time, whatever
/// the clock does. Returns no row if the lock was not free.
pub(super) const TAKE: &str = "
    UPDATE log_watermark AS watermark
    SET as_of = greatest(clock_timestamp(), last.committed_at, watermark.as_of)
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true
    WHERE current_setting('parking.holds_commit_lock')::boolean
    RETURNING (SELECT epoch FROM epoch) AS epoch, coalesce(last.position, 0) AS position, watermark.as_of";

/// Takes a watermark in one pipelined roundtrip, so that no commit waits for this process to release the
/// lock. `None` if the lock was not free.
///
/// # Errors
/// The connection was lost, or the primary refused.
pub(super) async fn take(session: &Session, take: &Statement) -> Result<Option<Watermark>, Error> {
    let begin = begin_if_lock_is_free();
    // Requests leave in the order in which these futures are first polled: the order written here.
    let (begun, taken, committed) =
        join3(session.batch_execute(&begin), session.query_opt(take, &[]), session.batch_execute("COMMIT"))
            .await;
    begun?;
    let row = taken?;
    committed?;
    row.map(|row| {
        Ok(Watermark {
            epoch: row.try_get("epoch")?,
            position: row.try_get("position")?,
            as_of: row.try_get("as_of")?,
        })
    })
    .transpose()
}
