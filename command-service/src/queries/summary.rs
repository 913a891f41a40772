//! How many slots have each status.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{postgres::Session, slot::SlotStatus};
use tokio::time::Instant;
use tokio_postgres::{Row, Statement};

use super::{
    asked::{Asked, Unanswered, handed_back_by, reply_all},
    read_error::BadRow,
    status::{SharedStatus, with_status},
};

/// The status, then the summary. The replica keeps the summary with the slots, so reading it takes the same time for
/// any number of slots.
pub(super) const BY_STATUS: &str = with_status!(
    "SELECT status AS replica_status, NULL::text AS status, NULL::bigint AS slots FROM replica
     UNION ALL
     SELECT NULL, status, slots FROM parking_slot_summary"
);

/// The number of slots, in all and by status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The number of all slots.
    pub total: i64,
    /// The number of slots of each status, zeros included.
    pub by_status: BTreeMap<&'static str, i64>,
}

/// Answers all questions for the summary by one statement.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    by_status: &Statement,
    asked: Vec<Asked<(), Summary>>,
) -> Result<(), Unanswered<(), Summary>> {
    let (handed_back, receipts) = handed_back_by(&asked);
    let sent_at = Instant::now();
    let rows = session.query(by_status, &[&handed_back.firsts, &handed_back.lasts]).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| Summary::of(&rows));
    reply_all(asked, &receipts, sent_at, found, |summary, _, (), _| summary.clone())
}

impl Summary {
    fn empty() -> Self {
        Self { total: 0, by_status: SlotStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect() }
    }

    fn of(rows: &[Row]) -> Result<(SharedStatus, Self), BadRow> {
        let mut summary = Self::empty();
        for row in rows.iter().skip(1) {
            summary.count(row.try_get(1)?, row.try_get(2)?);
        }
        Ok((SharedStatus::of_first(rows)?, summary))
    }

    fn count(&mut self, status: SlotStatus, slots: i64) {
        self.by_status.insert(status.as_str(), slots);
        self.total += slots;
    }
}
