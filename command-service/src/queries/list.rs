//! A page of slots in creation order.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use actix_web::web::Bytes;
use shared::{
    postgres::{Param, Session},
    slot::{NAME_MAX_CHARS, SlotStatus},
};
use tokio::time::Instant;
use tokio_postgres::{Row, Statement};
use unicode_normalization::UnicodeNormalization;

use super::{
    asked::{Asked, Unanswered, handed_back_by, reply_all},
    cursor::Cursor,
    one::slot_record,
    read_error::BadRow,
    status::{SharedStatus, with_status},
};
use crate::register::record::SlotRecord;

/// The size of a page when the caller names no limit.
pub const LIMIT_DEFAULT: u16 = 100;

/// The largest size of a page.
pub const LIMIT_MAX: u16 = 1000;

/// Several pages without a filter, numbered from 1: `$3` and `$4` are the places before them, `$5` their sizes.
///
/// The status comes first, then the pages in order. PostgreSQL returns the members of a UNION ALL, and what a nested
/// loop joins, in written order unless they run in parallel, which the session forbids.
pub(super) const PAGES: &str = with_status!(
    "
    SELECT status AS replica_status, NULL::bigint AS page, NULL::uuid AS uuid, NULL::text AS name,
           NULL::text AS status, NULL::bigint AS version, NULL::timestamptz AS created_at,
           NULL::timestamptz AS updated_at
    FROM replica
    UNION ALL
    SELECT NULL, asked.page, slot.*
    FROM unnest($3::timestamptz[], $4::uuid[], $5::bigint[]) WITH ORDINALITY
         AS asked (created_at, uuid, slots, page)
    CROSS JOIN LATERAL (
        SELECT uuid, name, status, version, created_at, updated_at
        FROM parking_slots
        WHERE (created_at, uuid) > (asked.created_at, asked.uuid)
          AND created_at <= (SELECT visible_until FROM replica)
        ORDER BY created_at, uuid
        LIMIT asked.slots
    ) AS slot"
);

/// Which slots to list; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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

    /// Whether every slot passes.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_none() && self.name_contains.is_none()
    }

    /// The pattern for `ILIKE`, with the caller's `%`, `_` and `\` escaped.
    pub(super) fn name_pattern(&self) -> Option<String> {
        let escaped =
            self.name_contains.as_ref()?.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
        Some(format!("%{escaped}%"))
    }
}

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PageQuery {
    pub(super) filter: Filter,
    pub(super) cursor: Cursor,
    pub(super) limit: u16,
}

impl PageQuery {
    /// One extra row tells whether another slot follows.
    pub(super) fn rows_max(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// A page. Callers that asked for the same one share it.
#[derive(Clone, Debug)]
pub struct Page(Arc<PageContent>);

#[derive(Debug)]
struct PageContent {
    items: Vec<SlotRecord>,
    next: Option<Cursor>,
    encoded: OnceLock<Bytes>,
}

impl Page {
    pub(super) fn of(query: &PageQuery, mut items: Vec<SlotRecord>) -> Self {
        let follows = items.len() > usize::from(query.limit);
        items.truncate(usize::from(query.limit));
        let next = items.last().filter(|_| follows).map(Cursor::behind);
        Self(Arc::new(PageContent { items, next, encoded: OnceLock::new() }))
    }

    /// The slots, in creation order.
    #[must_use]
    pub fn items(&self) -> &[SlotRecord] {
        &self.0.items
    }

    /// Where the next page begins; `None` exactly when no slot follows.
    #[must_use]
    pub fn next(&self) -> Option<Cursor> {
        self.0.next
    }

    /// The page as `encode` writes it, which happens once for all callers that share it.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Vec<u8>) -> Bytes {
        self.0.encoded.get_or_init(|| encode(self).into()).clone()
    }
}

/// Answers pages without a filter by one statement. Equal queries share one page.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    pages: &Statement,
    asked: Vec<Asked<PageQuery, Page>>,
) -> Result<(), Unanswered<PageQuery, Page>> {
    let (handed_back, receipts) = handed_back_by(&asked);
    let mut pages_of: HashMap<&PageQuery, usize> = HashMap::new();
    let (mut times, mut uuids, mut rows_max) = (Vec::new(), Vec::new(), Vec::new());
    let mut places = Vec::with_capacity(asked.len());
    for Asked { query, .. } in &asked {
        let place = *pages_of.entry(query).or_insert_with(|| {
            times.push(query.cursor.created_at);
            uuids.push(query.cursor.uuid);
            rows_max.push(query.rows_max());
            rows_max.len() - 1
        });
        places.push(place);
    }
    let sent_at = Instant::now();
    let params: [Param<'_>; 5] = [&handed_back.firsts, &handed_back.lasts, &times, &uuids, &rows_max];
    let rows = session.query(pages, &params).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| split(&rows, rows_max.len()));
    let mut built: Vec<Option<Page>> = vec![None; rows_max.len()];
    reply_all(asked, &receipts, sent_at, found, |items, number, query, _| {
        let place = places[number];
        built[place].get_or_insert_with(|| Page::of(query, std::mem::take(&mut items[place]))).clone()
    })
}

/// The status, and the slots of each page.
pub(super) fn split(rows: &[Row], pages: usize) -> Result<(SharedStatus, Vec<Vec<SlotRecord>>), BadRow> {
    let status = SharedStatus::of_first(rows)?;
    let mut items = vec![Vec::new(); pages];
    for row in rows.iter().skip(1) {
        let page: i64 = row.try_get(1)?;
        let page = usize::try_from(page - 1).ok().and_then(|index| items.get_mut(index));
        if let Some(page) = page {
            page.push(slot_record(row, 2)?);
        }
    }
    Ok((status, items))
}
