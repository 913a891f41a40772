//! One slot.

use std::collections::HashMap;

use shared::{postgres::Session, slot::Slot};
use tokio::time::Instant;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::{
    asked::{Asked, Unanswered, handed_back_by, reply_all},
    read_error::BadRow,
    status::{SharedStatus, with_status},
};
use crate::register::record::SlotRecord;

/// The status, then those of the slots `$3` that the replica has.
pub(super) const BY_UUID: &str = with_status!(
    "SELECT status AS replica_status, NULL::uuid AS uuid, NULL::text AS name, NULL::text AS status,
            NULL::bigint AS version, NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at
     FROM replica
     UNION ALL
     SELECT NULL, uuid, name, status, version, created_at, updated_at FROM parking_slots WHERE uuid = ANY($3::uuid[])"
);

/// Answers questions for single slots by one statement.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    by_uuid: &Statement,
    asked: Vec<Asked<Uuid, Option<SlotRecord>>>,
) -> Result<(), Unanswered<Uuid, Option<SlotRecord>>> {
    let (handed_back, receipts) = handed_back_by(&asked);
    let uuids: Vec<Uuid> = asked.iter().map(|asked| asked.query).collect();
    let sent_at = Instant::now();
    let rows = session.query(by_uuid, &[&handed_back.firsts, &handed_back.lasts, &uuids]).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| by_identity(&rows));
    reply_all(asked, &receipts, sent_at, found, |slots, _, uuid, _| slots.get(uuid).cloned())
}

fn by_identity(rows: &[Row]) -> Result<(SharedStatus, HashMap<Uuid, SlotRecord>), BadRow> {
    let slots = rows.iter().skip(1).map(|row| {
        let record = slot_record(row, 1)?;
        Ok((record.slot.uuid, record))
    });
    Ok((SharedStatus::of_first(rows)?, slots.collect::<Result<_, tokio_postgres::Error>>()?))
}

/// The record whose columns begin at `first`: uuid, name, status, version and both times.
pub(super) fn slot_record(row: &Row, first: usize) -> Result<SlotRecord, tokio_postgres::Error> {
    Ok(SlotRecord {
        slot: Slot {
            uuid: row.try_get(first)?,
            name: row.try_get(first + 1)?,
            status: row.try_get(first + 2)?,
            version: row.try_get(first + 3)?,
        },
        created_at: row.try_get(first + 4)?,
        updated_at: row.try_get(first + 5)?,
    })
}
