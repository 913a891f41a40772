//! A page of slots in creation order.

use super::{ReadError, Replica, cursor::Cursor, slot_record};
use crate::record::SlotRecord;

/// The slots of a page when the caller names no limit.
pub const LIMIT_DEFAULT: u16 = 100;

/// The most slots of a page.
pub const LIMIT_MAX: u16 = 1000;

/// While a position is missing, slots that were created after it may be here already: they are not shown, since
/// the missing one would later turn up behind a cursor that was given out meanwhile.
pub(super) const PAGE: &str = "
    SELECT uuid, name, status, version, created_at, updated_at
    FROM parking_slots
    WHERE (created_at, uuid) > ($1, $2)
      AND created_at <= (SELECT CASE WHEN applied_through = upper(applied) - 1 THEN 'infinity'
                                     ELSE coalesce(as_of, '-infinity') END
                         FROM replication_status)
    ORDER BY created_at, uuid
    LIMIT $3";

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The slots, in creation order.
    pub items: Vec<SlotRecord>,
    /// Where the next page begins; `None` exactly when nothing follows.
    pub next: Option<Cursor>,
}

impl Replica {
    /// The first `limit` slots behind `cursor`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list(&self, cursor: Cursor, limit: u16) -> Result<Page, ReadError> {
        // One more than asked for tells whether something follows.
        let rows_max = i64::from(limit) + 1;
        let mut items = self
            .read(async |client| {
                let page = client.prepare_cached(PAGE).await?;
                let rows = client.query(&page, &[&cursor.created_at, &cursor.uuid, &rows_max]).await?;
                rows.iter().map(slot_record).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let follows = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        let next = items.last().filter(|_| follows).map(Cursor::behind);
        Ok(Page { items, next })
    }
}
