//! One slot.

use std::collections::HashMap;

use actix_web::web::Bytes;
use shared::{postgres::Session, slot::Version};
use tokio::time::Instant;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::{
    asked::{Asked, Unanswered, handed_back_by, reply_all},
    page::document,
    read_error::BadRow,
    status::{SharedStatus, with_status},
};
use crate::register::record::SlotRecord;

/// The status, then those of the slots `$3` that the replica has.
pub(super) const BY_UUID: &str = with_status!(
    "SELECT status AS replica_status, NULL::uuid AS uuid, NULL::bigint AS version, NULL::text AS document
     FROM replica
     UNION ALL
     SELECT NULL, uuid, version, ",
    document!(),
    " FROM parking_slots WHERE uuid = ANY($3::uuid[])"
);

/// A slot as the replica shows it. Callers that asked for the same one share its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSlot {
    /// Its version.
    pub version: Version,
    /// The JSON document that is the answer.
    pub document: Bytes,
}

impl ShownSlot {
    /// Reads the document.
    ///
    /// # Errors
    /// It was changed by hand, and is none of a slot.
    pub fn record(&self) -> Result<SlotRecord, serde_json::Error> {
        SlotRecord::of_document(&self.document)
    }
}

/// Answers questions for single slots by one statement.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    by_uuid: &Statement,
    asked: Vec<Asked<Uuid, Option<ShownSlot>>>,
) -> Result<(), Unanswered<Uuid, Option<ShownSlot>>> {
    let (handed_back, receipts) = handed_back_by(&asked);
    let uuids: Vec<Uuid> = asked.iter().map(|asked| asked.query).collect();
    let sent_at = Instant::now();
    let rows = session.query(by_uuid, &[&handed_back.firsts, &handed_back.lasts, &uuids]).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| by_identity(&rows));
    reply_all(asked, &receipts, sent_at, found, |slots, _, uuid, _| slots.get(uuid).cloned())
}

fn by_identity(rows: &[Row]) -> Result<(SharedStatus, HashMap<Uuid, ShownSlot>), BadRow> {
    let slots = rows.iter().skip(1).map(|row| {
        let document: &str = row.try_get(3)?;
        let document = Bytes::copy_from_slice(document.as_bytes());
        Ok((row.try_get(1)?, ShownSlot { version: row.try_get(2)?, document }))
    });
    Ok((SharedStatus::of_first(rows)?, slots.collect::<Result<_, tokio_postgres::Error>>()?))
}
