//! A page of slots in creation order.

use shared::slot::{NAME_MAX_CHARS, SlotStatus};
use unicode_normalization::UnicodeNormalization;

use super::{Read, ReadError, Replica, cursor::Cursor, slot_record};
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
      AND ($4::text IS NULL OR status = $4)
      AND ($5::text IS NULL OR name ILIKE $5)
    ORDER BY created_at, uuid
    LIMIT $3";

/// Which slots to list; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those with this status.
    pub status: Option<SlotStatus>,
    /// Only those whose name contains this, upper and lower case alike.
    pub name_contains: Option<String>,
}

impl Filter {
    /// The part of a name that a caller asks for, normalised as names are; `None` for what no name can contain.
    #[must_use]
    pub fn name_part(text: &str) -> Option<String> {
        let part: String = text.nfc().collect();
        let fits =
            (1..=NAME_MAX_CHARS).contains(&part.chars().count()) && !part.chars().any(char::is_control);
        fits.then_some(part)
    }

    /// The pattern for `ILIKE`, in which the caller's `%`, `_` and `\` mean themselves.
    fn name_pattern(&self) -> Option<String> {
        let escaped =
            self.name_contains.as_ref()?.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
        Some(format!("%{escaped}%"))
    }
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The slots, in creation order.
    pub items: Vec<SlotRecord>,
    /// Where the next page begins; `None` exactly when nothing follows.
    pub next: Option<Cursor>,
}

impl Replica {
    /// The first `limit` slots behind `cursor` that pass the filter.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list(&self, filter: &Filter, cursor: Cursor, limit: u16) -> Result<Read<Page>, ReadError> {
        // One more than asked for tells whether something follows.
        let rows_max = i64::from(limit) + 1;
        let status = filter.status.map(SlotStatus::as_str);
        let pattern = filter.name_pattern();
        let read = self
            .read(async |client| {
                let page = client.prepare_cached(PAGE).await?;
                let rows = client
                    .query(&page, &[&cursor.created_at, &cursor.uuid, &rows_max, &status, &pattern])
                    .await?;
                rows.iter().map(slot_record).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(read.map(|mut items| {
            let follows = items.len() > usize::from(limit);
            items.truncate(usize::from(limit));
            let next = items.last().filter(|_| follows).map(Cursor::behind);
            Page { items, next }
        }))
    }
}
