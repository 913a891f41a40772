//! A page of the slots that pass a filter.

use shared::{
    postgres::{Param, Session},
    slot::SlotStatus,
};
use tokio_postgres::Statement;

use super::{
    cursor::Cursor,
    list::{Page, PageQuery, split},
    read_error::BadRow,
    status::{HandedBack, SharedStatus, with_status},
};

/// One page with a filter, in three forms: a plan then fits its form, and PostgreSQL need not make it again for each
/// execution. `$3` and `$4` are the place before the page, `$5` is its size.
macro_rules! filtered_page {
    ($filter:literal) => {
        with_status!(
            "
            SELECT status AS replica_status, NULL::bigint AS page, NULL::uuid AS uuid, NULL::text AS name,
                   NULL::text AS status, NULL::bigint AS version, NULL::timestamptz AS created_at,
                   NULL::timestamptz AS updated_at
            FROM replica
            UNION ALL
            (SELECT NULL, 1, uuid, name, status, version, created_at, updated_at
             FROM parking_slots
             WHERE (created_at, uuid) > ($3, $4)
               AND created_at <= (SELECT visible_until FROM replica)
               AND ",
            $filter,
            "
             ORDER BY created_at, uuid
             LIMIT $5)"
        )
    };
}

/// A page of the slots with the status `$6`.
pub(super) const PAGE_BY_STATUS: &str = filtered_page!("status = $6");

/// A page of the slots whose name matches `$6`.
pub(super) const PAGE_BY_NAME: &str = filtered_page!("name ILIKE $6");

/// A page of the slots with the status `$6` whose name matches `$7`.
pub(super) const PAGE_BY_BOTH: &str = filtered_page!("status = $6 AND name ILIKE $7");

/// Runs the statement of a page with a filter.
///
/// # Errors
/// The statement has no answer.
pub(super) async fn search(
    session: &Session,
    statements: &[Statement; 3],
    query: &PageQuery,
    handed_back: &HandedBack,
) -> Result<(SharedStatus, Page), BadRow> {
    let [by_status, by_name, by_both] = statements;
    let (status, pattern) = (query.filter.status.map(SlotStatus::as_str), query.filter.name_pattern());
    let rows_max = query.rows_max();
    let Cursor { created_at, uuid } = &query.cursor;
    let mut params: Vec<Param<'_>> =
        vec![&handed_back.firsts, &handed_back.lasts, created_at, uuid, &rows_max];
    let statement = match (&status, &pattern) {
        (Some(status), None) => {
            params.push(status);
            by_status
        }
        (None, pattern) => {
            params.push(pattern);
            by_name
        }
        (Some(status), Some(pattern)) => {
            params.extend::<[Param<'_>; 2]>([status, pattern]);
            by_both
        }
    };
    let (status, mut items) = split(&session.query(statement, &params).await?, 1)?;
    Ok((status, Page::of(query, items.pop().unwrap_or_default())))
}
