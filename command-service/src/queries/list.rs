//! A page of slots in creation order.

use shared::slot::{NAME_MAX_CHARS, SlotStatus};
use tokio_postgres::types::ToSql;
use unicode_normalization::UnicodeNormalization;

use super::{
    cursor::Cursor,
    replica::{Read, ReadError, Replica, slot_record},
    status::{HandedBack, status_of_first, with_status},
};
use crate::register::record::SlotRecord;

/// The slots of a page when the caller names no limit.
pub const LIMIT_DEFAULT: u16 = 100;

/// The most slots of a page.
pub const LIMIT_MAX: u16 = 1000;

/// The status comes first, then the page: the members of a UNION ALL come in the order in which they are written as
/// long as nothing runs in parallel, which the session forbids.
///
/// While a position is missing, slots that were created after it may be here already: they are not shown, since
/// the missing one would later turn up behind a cursor that was given out meanwhile.
pub(super) const PAGE: &str = with_status!(
    "
    SELECT applied_through, reach, as_of, epoch, missing, dead_lettered,
           NULL::uuid AS uuid, NULL::text AS name, NULL::text AS status, NULL::bigint AS version,
           NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at
    FROM replica
    UNION ALL
    (SELECT NULL, NULL, NULL, NULL, NULL, NULL, uuid, name, status, version, created_at, updated_at
     FROM parking_slots
     WHERE (created_at, uuid) > ($3, $4)
       AND created_at <= (SELECT CASE WHEN applied_through = reach THEN 'infinity'
                                      ELSE coalesce(as_of, '-infinity') END
                          FROM replica)
       AND ($6::text IS NULL OR status = $6)
       AND ($7::text IS NULL OR name ILIKE $7)
     ORDER BY created_at, uuid
     LIMIT $5)"
);

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
    /// The first `limit` slots behind `cursor` that pass the filter. `handed_back` are the writes that the caller wants
    /// to see.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: u16,
        handed_back: &HandedBack,
    ) -> Result<Read<Page>, ReadError> {
        // One more than asked for tells whether something follows.
        let rows_max = i64::from(limit) + 1;
        let status = filter.status.map(SlotStatus::as_str);
        let pattern = filter.name_pattern();
        let read = self
            .read(async |client| {
                let page = client.prepare_cached(PAGE).await?;
                let HandedBack { firsts, lasts } = handed_back;
                let params: [&(dyn ToSql + Sync); 7] =
                    [firsts, lasts, &cursor.created_at, &cursor.uuid, &rows_max, &status, &pattern];
                let rows = client.query(&page, &params).await?;
                let slots = rows.iter().skip(1).map(slot_record).collect::<Result<Vec<_>, _>>()?;
                Ok((slots, status_of_first(&rows)?))
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
