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

/// The size of a page when the caller names no limit.
pub const LIMIT_DEFAULT: u16 = 100;

/// The largest size of a page.
pub const LIMIT_MAX: u16 = 1000;

/// The status comes first, then the page. PostgreSQL returns the members of a UNION ALL in written order unless they
/// run in parallel, which the session forbids.
///
/// While a position is missing, the page hides slots created after `as_of`. Otherwise a missing slot could later appear
/// on a page that the caller has already passed.
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

/// Which slots to list; all by default.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only slots with this status.
    pub status: Option<SlotStatus>,
    /// Only slots whose name contains this text; upper and lower case are the same.
    pub name_contains: Option<String>,
}

impl Filter {
    /// Normalises a caller's search text as names are normalised. `None` if no name can contain the text.
    #[must_use]
    pub fn name_part(text: &str) -> Option<String> {
        let part: String = text.nfc().collect();
        let fits =
            (1..=NAME_MAX_CHARS).contains(&part.chars().count()) && !part.chars().any(char::is_control);
        fits.then_some(part)
    }

    /// The pattern for `ILIKE`, with the caller's `%`, `_` and `\` escaped.
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
    /// Where the next page begins; `None` exactly when no slot follows.
    pub next: Option<Cursor>,
}

impl Replica {
    /// Reads the first `limit` slots behind `cursor` that pass the filter. `handed_back` are the writes that the caller
    /// wants to see.
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
        // One extra row tells whether another slot follows.
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
