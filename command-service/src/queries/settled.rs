//! What the replica has done with a write.

use shared::postgres::Session;
use tokio::time::Instant;
use tokio_postgres::{Row, Statement};

use super::{
    asked::{Asked, Unanswered, handed_back_by, reply_all},
    read_error::BadRow,
    status::{ReplicaStatus, SharedStatus, with_status},
};
use crate::register::receipt::WriteReceipt;

/// The status, then each write's highest unsettled position in the order of the writes; null if all are settled. `$3`
/// and `$4` are the first and last positions of the writes.
pub(super) const SETTLED: &str = with_status!(
    "SELECT status AS replica_status, NULL::bigint AS last_unsettled FROM replica
     UNION ALL
     SELECT NULL, upper(int8multirange(int8range(write.first, write.last, '[]')) - replication_status.applied) - 1
     FROM unnest($3::bigint[], $4::bigint[]) AS write (first, last) CROSS JOIN replication_status"
);

/// What the replica has done with the events of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All events are applied, and every earlier position is settled.
    Applied,
    /// All events are settled, but the replica dead-lettered some of them.
    DeadLettered,
    /// Some events are not settled yet.
    Not {
        /// The last position that is not settled.
        last_unsettled: i64,
    },
}

/// Answers questions for writes by one statement.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    settled: &Statement,
    asked: Vec<Asked<WriteReceipt, Settled>>,
) -> Result<(), Unanswered<WriteReceipt, Settled>> {
    let (handed_back, receipts) = handed_back_by(&asked);
    let firsts: Vec<i64> = asked.iter().map(|asked| asked.query.first.get()).collect();
    let lasts: Vec<i64> = asked.iter().map(|asked| asked.query.last.get()).collect();
    let sent_at = Instant::now();
    let rows = session.query(settled, &[&handed_back.firsts, &handed_back.lasts, &firsts, &lasts]).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| unsettled(&rows));
    reply_all(asked, &receipts, sent_at, found, |unsettled, number, write, status| {
        // A replica without a status row has settled nothing.
        judge(write, unsettled.get(number).copied().unwrap_or(Some(write.last.get())), status)
    })
}

fn unsettled(rows: &[Row]) -> Result<(SharedStatus, Vec<Option<i64>>), BadRow> {
    let unsettled = rows.iter().skip(1).map(|row| row.try_get(1));
    Ok((SharedStatus::of_first(rows)?, unsettled.collect::<Result<_, _>>()?))
}

/// Positions of another epoch say nothing of the write. While an earlier position is missing, the write does not count
/// as applied: the list does not show it yet.
fn judge(write: &WriteReceipt, last_unsettled: Option<i64>, status: &ReplicaStatus) -> Settled {
    let last = write.last.get();
    match last_unsettled {
        _ if status.epoch != Some(write.epoch) => Settled::Not { last_unsettled: last },
        Some(last_unsettled) => Settled::Not { last_unsettled },
        None if status.dead_lettered => Settled::DeadLettered,
        None if status.applied_through < last => Settled::Not { last_unsettled: last },
        None => Settled::Applied,
    }
}
