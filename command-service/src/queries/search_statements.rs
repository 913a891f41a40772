//! The statements of searches.
//!
//! The session's settings force the plan of each statement. A plan that the planner guesses fits a rare text or a common
//! one, and takes seconds for the other. A page by name is found in three stages, each only if the one before it does
//! not fill the page:
//!
//! 1. The next 4,000 slots in creation order are compared with the pattern. A common text fills its page there.
//! 2. The index of trigrams finds all hits, if they are at most 16,384, and they are sorted.
//! 3. All further slots in creation order are compared.
//!
//! A pattern without a trigram has only the last stage.

use super::{page::document, status::with_status};

/// What a search session must be set to: each statement has one plan, which uses indexes in their order.
macro_rules! search_options {
    () => {
        "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_sort=off"
    };
}
pub(super) use search_options;

/// Slots in creation order behind a place; with a status, only those that have it.
///
/// A range of statuses instead of `status = ` leaves one index that has the order. The planner would otherwise filter
/// the slots of all statuses.
macro_rules! slots_behind {
    ($created_at:literal, $uuid:literal) => {
        concat!(
            "SELECT uuid, name, status, version, created_at, updated_at, document
             FROM parking_slots
             WHERE (created_at, uuid) > (",
            $created_at,
            ", ",
            $uuid,
            ") AND created_at <= (SELECT visible_until FROM replica)"
        )
    };
    ($created_at:literal, $uuid:literal, $status:literal) => {
        concat!(
            "SELECT uuid, name, status, version, created_at, updated_at, document
             FROM parking_slots
             WHERE (status, created_at, uuid) > (",
            $status,
            ", ",
            $created_at,
            ", ",
            $uuid,
            ") AND status <= ",
            $status,
            " AND created_at <= (SELECT visible_until FROM replica)"
        )
    };
}

/// The order of [`slots_behind`].
macro_rules! in_order {
    () => {
        " ORDER BY created_at, uuid"
    };
    ($status:literal) => {
        " ORDER BY status, created_at, uuid"
    };
}

/// The status, then what follows as the first page.
macro_rules! with_page {
    ($($page:tt)*) => {
        concat!(
            "
            SELECT status AS replica_status, NULL::bigint AS page, NULL::bigint AS slots, NULL::text AS documents
            FROM replica
            UNION ALL
            (SELECT NULL, 1, 1, ",
            document!(),
            " FROM (",
            $($page)*
        )
    };
}

/// A page of the slots with the status `$6`. `$3` and `$4` are the place before the page, `$5` is its size.
pub(super) const PAGE_BY_STATUS: &str = concat!(
    with_status!(""),
    with_page!(slots_behind!("$3", "$4", "$6"), in_order!("$6"), " LIMIT $5) AS slot)")
);

/// A page of the slots whose name matches `$6`, in three stages. OFFSET 0 keeps the pattern out of the ordered walk, so
/// that no index of trigrams is used for it.
macro_rules! page_by_trigrams {
    ($also:literal $(, $status:literal)?) => {
        concat!(
            with_status!(""),
            ", near AS MATERIALIZED (
                SELECT * FROM (",
            slots_behind!("$3", "$4" $(, $status)?),
            in_order!($($status)?),
            "       LIMIT 4000) AS slot
                WHERE name ILIKE $6
                LIMIT $5
            ), edge AS MATERIALIZED (
                -- The last of those slots, if the page is not full; none if no slot follows.
                SELECT created_at, uuid FROM (",
            slots_behind!("$3", "$4" $(, $status)?),
            "       AND (SELECT count(*) FROM near) < $5",
            in_order!($($status)?),
            "       OFFSET 3999 LIMIT 1) AS slot
            ), hits AS MATERIALIZED (
                SELECT uuid, name, status, version, created_at, updated_at, document
                FROM parking_slots
                WHERE name ILIKE $6 AND EXISTS (SELECT FROM edge)
                LIMIT 16385
            )",
            with_page!(
                "SELECT * FROM near
                UNION ALL
                SELECT * FROM hits
                WHERE (SELECT count(*) FROM hits) < 16385
                  AND (created_at, uuid) > ((SELECT created_at FROM edge), (SELECT uuid FROM edge))
                  AND created_at <= (SELECT visible_until FROM replica)",
                $also,
                "
                UNION ALL
                (SELECT * FROM (",
                slots_behind!("(SELECT created_at FROM edge)", "(SELECT uuid FROM edge)" $(, $status)?),
                "       AND (SELECT count(*) FROM hits) = 16385",
                in_order!($($status)?),
                "       OFFSET 0) AS slot
                 WHERE name ILIKE $6
                 LIMIT $5)
                ORDER BY created_at, uuid
                LIMIT $5) AS slot)"
            )
        )
    };
}

/// A page of the slots whose name matches `$6`, which has a trigram.
pub(super) const PAGE_BY_NAME: &str = page_by_trigrams!("");

/// A page of the slots with the status `$7` whose name matches `$6`, which has a trigram.
pub(super) const PAGE_BY_BOTH: &str = page_by_trigrams!(" AND status = $7", "$7");

/// A page of the slots whose name matches `$6`: an ordered walk.
macro_rules! page_by_walk {
    ($($status:literal)?) => {
        concat!(
            with_status!(""),
            with_page!(
                slots_behind!("$3", "$4" $(, $status)?),
                in_order!($($status)?),
                " OFFSET 0) AS slot
                WHERE name ILIKE $6
                LIMIT $5)"
            )
        )
    };
}

/// A page of the slots whose name matches `$6`, which has no trigram.
pub(super) const PAGE_BY_SHORT_NAME: &str = page_by_walk!();

/// A page of the slots with the status `$7` whose name matches `$6`, which has no trigram.
pub(super) const PAGE_BY_SHORT_BOTH: &str = page_by_walk!("$7");
