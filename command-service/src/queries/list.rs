//! A page of slots in creation order.

use std::collections::HashMap;

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
    last_answers::LastAnswers,
    page::{Page, PageDraft, document},
    read_error::BadRow,
    status::{SharedStatus, with_status},
};

/// The size of a page when the caller names no limit.
pub const LIMIT_DEFAULT: u16 = 100;

/// The largest size of a page.
pub const LIMIT_MAX: u16 = 1000;

/// Several pages without a filter, numbered from 1: `$3` and `$4` are the places before them, `$5` their sizes.
///
/// The status comes first, then the number of each page's slots and their documents, joined in order. PostgreSQL
/// returns the members of a UNION ALL in written order unless they run in parallel, which the session forbids.
pub(super) const PAGES: &str = with_status!(
    "
    SELECT status AS replica_status, NULL::bigint AS page, NULL::bigint AS slots, NULL::text AS documents
    FROM replica
    UNION ALL
    SELECT NULL, asked.page, shown.slots, shown.documents
    FROM unnest($3::timestamptz[], $4::uuid[], $5::bigint[]) WITH ORDINALITY
         AS asked (created_at, uuid, slots, page)
    CROSS JOIN LATERAL (
        SELECT count(*) AS slots, string_agg(slot.document, ',') AS documents
        FROM (SELECT ",
    document!(),
    " AS document
              FROM parking_slots
              WHERE (created_at, uuid) > (asked.created_at, asked.uuid)
                AND created_at <= (SELECT visible_until FROM replica)
              ORDER BY created_at, uuid
              LIMIT asked.slots) AS slot
    ) AS shown"
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

/// Answers pages without a filter by one statement, if the last pages do not answer them. Equal queries share one page.
///
/// # Errors
/// The statement has no answer; the questions come back.
pub(super) async fn answer(
    session: &Session,
    [snapshot, pages]: [&Statement; 2],
    last: &mut LastAnswers<PageQuery, Page>,
    asked: Vec<Asked<PageQuery, Page>>,
) -> Result<(), Unanswered<PageQuery, Page>> {
    let asked = last.answer(session, snapshot, asked).await;
    if asked.is_empty() {
        return Ok(());
    }
    let (handed_back, receipts) = handed_back_by(&asked);
    let mut pages_of: HashMap<&PageQuery, usize> = HashMap::new();
    let (mut times, mut uuids, mut rows_max, mut limits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut places = Vec::with_capacity(asked.len());
    for Asked { query, .. } in &asked {
        let place = *pages_of.entry(query).or_insert_with(|| {
            times.push(query.cursor.created_at);
            uuids.push(query.cursor.uuid);
            rows_max.push(query.rows_max());
            limits.push(query.limit);
            limits.len() - 1
        });
        places.push(place);
    }
    let sent_at = Instant::now();
    let params: [Param<'_>; 5] = [&handed_back.firsts, &handed_back.lasts, &times, &uuids, &rows_max];
    let rows = session.query(pages, &params).await;
    let found = rows.map_err(BadRow::from).and_then(|rows| split(&rows, &limits));
    if let Ok((status, pages)) = &found {
        last.begin(status);
        for (query, place) in pages_of {
            last.keep(query, &pages[place], usize::from(query.limit));
        }
    }
    reply_all(asked, &receipts, sent_at, found, |pages, number, _, _| pages[places[number]].clone())
}

/// The status, and the pages, whose sizes are `limits`.
pub(super) fn split(rows: &[Row], limits: &[u16]) -> Result<(SharedStatus, Vec<Page>), BadRow> {
    let status = SharedStatus::of_first(rows)?;
    let mut drafts: Vec<PageDraft> = limits.iter().map(|_| PageDraft::default()).collect();
    for row in rows.iter().skip(1) {
        let (page, slots): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let draft = usize::try_from(page - 1).ok().and_then(|index| drafts.get_mut(index));
        if let (Some(draft), Some(documents)) = (draft, row.try_get::<_, Option<&str>>(3)?) {
            draft.add(usize::try_from(slots).unwrap_or_default(), documents);
        }
    }
    let pages = drafts.into_iter().zip(limits).map(|(draft, limit)| draft.finish(*limit));
    Ok((status, pages.collect::<Result<_, _>>()?))
}
