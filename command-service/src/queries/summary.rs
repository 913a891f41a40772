//! How many slots have each status.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::slot::SlotStatus;

use super::{Read, ReadError, Replica};

pub(super) const BY_STATUS: &str = "SELECT status, slots FROM parking_slot_summary";

/// The register in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All slots.
    pub total: i64,
    /// The slots of each status, zeros included.
    pub by_status: BTreeMap<&'static str, i64>,
}

impl Replica {
    /// The summary, which is kept with the slots: reading it takes the same time however many there are.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn summary(&self) -> Result<Read<Summary>, ReadError> {
        let read: Read<Vec<(SlotStatus, i64)>> = self
            .read(async |client| {
                let by_status = client.prepare_cached(BY_STATUS).await?;
                let rows = client.query(&by_status, &[]).await?;
                rows.iter().map(|row| Ok((row.try_get("status")?, row.try_get("slots")?))).collect()
            })
            .await?;
        Ok(read.map(|counts| {
            let mut by_status: BTreeMap<_, _> =
                SlotStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect();
            by_status.extend(counts.into_iter().map(|(status, slots)| (status.as_str(), slots)));
            Summary { total: by_status.values().sum(), by_status }
        }))
    }
}
