//! One slot.

use uuid::Uuid;

use super::{
    replica::{Read, ReadError, Replica, slot_record},
    status::{HandedBack, status_of_first, with_status},
};
use crate::register::record::SlotRecord;

/// Returns a row even without the slot, to carry the status.
pub(super) const BY_UUID: &str = with_status!(
    "SELECT replica.*, slot.uuid, slot.name, slot.status, slot.version, slot.created_at, slot.updated_at
     FROM replica LEFT JOIN parking_slots AS slot ON slot.uuid = $3"
);

impl Replica {
    /// Reads the slot, if the replica has it. `handed_back` are the writes that the caller wants to see.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn slot(
        &self,
        uuid: Uuid,
        handed_back: &HandedBack,
    ) -> Result<Read<Option<SlotRecord>>, ReadError> {
        self.read(async |client| {
            let by_uuid = client.prepare_cached(BY_UUID).await?;
            let rows = client.query(&by_uuid, &[&handed_back.firsts, &handed_back.lasts, &uuid]).await?;
            let status = status_of_first(&rows)?;
            let mut found = None;
            for row in &rows {
                if row.try_get::<_, Option<Uuid>>("uuid")?.is_some() {
                    found = Some(slot_record(row)?);
                }
            }
            Ok((found, status))
        })
        .await
    }
}
