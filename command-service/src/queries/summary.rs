//! How many slots have each status.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::slot::SlotStatus;

use super::{
    replica::{Read, ReadError, Replica},
    status::{HandedBack, status_of_first, with_status},
};

pub(super) const BY_STATUS: &str = with_status!(
    "SELECT replica.*, summary.status, summary.slots
     FROM replica LEFT JOIN parking_slot_summary AS summary ON true"
);

/// The number of slots, in all and by status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The number of all slots.
    pub total: i64,
    /// The number of slots of each status, zeros included.
    pub by_status: BTreeMap<&'static str, i64>,
}

impl Replica {
    /// Reads the summary. The replica keeps it with the slots, so reading takes the same time for any number of slots.
    /// `handed_back` are the writes that the summary must count.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn summary(&self, handed_back: &HandedBack) -> Result<Read<Summary>, ReadError> {
        self.read(async |client| {
            let by_status = client.prepare_cached(BY_STATUS).await?;
            let rows = client.query(&by_status, &[&handed_back.firsts, &handed_back.lasts]).await?;
            let mut summary = Summary::empty();
            for row in &rows {
                if let Some(status) = row.try_get::<_, Option<SlotStatus>>("status")? {
                    summary.count(status, row.try_get("slots")?);
                }
            }
            Ok((summary, status_of_first(&rows)?))
        })
        .await
    }
}

impl Summary {
    fn empty() -> Self {
        Self { total: 0, by_status: SlotStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect() }
    }

    fn count(&mut self, status: SlotStatus, slots: i64) {
        self.by_status.insert(status.as_str(), slots);
        self.total += slots;
    }
}
