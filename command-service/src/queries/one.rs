//! One slot.

use uuid::Uuid;

use super::{Read, ReadError, Replica, slot_record};
use crate::record::SlotRecord;

pub(super) const BY_UUID: &str =
    "SELECT uuid, name, status, version, created_at, updated_at FROM parking_slots WHERE uuid = $1";

impl Replica {
    /// The slot, if the replica has it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn slot(&self, uuid: Uuid) -> Result<Read<Option<SlotRecord>>, ReadError> {
        self.read(async |client| {
            let by_uuid = client.prepare_cached(BY_UUID).await?;
            client.query_opt(&by_uuid, &[&uuid]).await?.as_ref().map(slot_record).transpose()
        })
        .await
    }
}
