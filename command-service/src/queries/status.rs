//! How far the replica has come, in a query's own snapshot. Every query selects this status in the statement that
//! selects its rows. So no change can come between the two.

use jiff::Timestamp;
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::read_error::BadRow;
use crate::register::receipt::{ReadReceipt, Receipt};

/// The snapshot of the statement; null on a standby, whose snapshots do not tell which transactions are in progress.
macro_rules! snapshot {
    () => {
        "CASE WHEN NOT pg_is_in_recovery() THEN pg_current_snapshot()::text END"
    };
}
pub(super) use snapshot;

/// Begins a query with a common table expression `replica` of one row. `$1` and `$2` are the first and last positions
/// of the write receipts that callers hand back.
///
/// The status travels as one JSON document, as the replica pushes it: so the rows that follow have one column more, and
/// not six. While a position is missing, `visible_until` hides slots created after `as_of`. Otherwise a missing slot
/// could later appear on a page that the caller has already passed.
macro_rules! with_status {
    ($($query:expr),+ $(,)?) => {
        concat!(
            "WITH replica AS MATERIALIZED (
                SELECT json_build_object(
                           'applied_through', applied_through,
                           'reach', upper(applied) - 1,
                           'as_of_micros', (extract(epoch FROM as_of) * 1000000)::bigint,
                           'epoch', epoch,
                           'snapshot', ",
            $crate::queries::status::snapshot!(),
            ",
                           'missing', (SELECT count(*) FROM dead_letters WHERE position IS NOT NULL),
                           'dead_lettered', ARRAY(
                               SELECT receipt.number
                               FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS receipt (first, last, number)
                               WHERE EXISTS (SELECT FROM dead_letters AS letter
                                             WHERE letter.position BETWEEN receipt.first AND receipt.last)
                           ))::text AS status,
                       CASE WHEN applied_through = upper(applied) - 1 THEN 'infinity'
                            ELSE coalesce(as_of, '-infinity') END AS visible_until
                FROM replication_status
            ) ",
            $($query),+
        )
    };
}
pub(super) use with_status;

/// How far the replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// The highest settled position. It exceeds `applied_through` while an earlier position is missing.
    pub reach: i64,
    /// Every write committed at or before this time is settled. `None` until a write is settled.
    pub as_of: Option<Timestamp>,
    /// The epoch in which the positions count.
    pub epoch: Option<Uuid>,
    /// How many settled positions were dead-lettered, not applied.
    pub missing: i64,
    /// Whether they include a write whose receipt the caller handed back.
    pub dead_lettered: bool,
}

impl ReplicaStatus {
    /// The receipt of this read. It names the highest settled position, because a row may show a write beyond the first
    /// missing position.
    #[must_use]
    pub fn receipt(&self) -> ReadReceipt {
        ReadReceipt { epoch: self.epoch, reach: self.reach }
    }
}

/// The status as a statement selects it for several callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct SharedStatus {
    applied_through: i64,
    reach: i64,
    as_of_micros: Option<i64>,
    epoch: Option<Uuid>,
    missing: i64,
    /// PostgreSQL's own name for what the statement sees. Equal ones show the same rows.
    snapshot: Option<String>,
    /// The numbers, from 1, of the receipts that name a dead letter.
    dead_lettered: Vec<usize>,
}

impl SharedStatus {
    /// Reads the status from the first row, whose first column holds it. A replica without a status row counts as one
    /// that has applied nothing.
    pub(super) fn of_first(rows: &[Row]) -> Result<Self, BadRow> {
        let Some(text) = rows.first().map(|row| row.try_get::<_, Option<&str>>(0)).transpose()?.flatten()
        else {
            return Ok(Self::default());
        };
        Ok(serde_json::from_str(text)?)
    }

    /// PostgreSQL's name for what the statement sees; `None` if it proves nothing.
    pub(super) fn snapshot(&self) -> Option<&String> {
        self.snapshot.as_ref()
    }

    /// The status for the caller whose receipts have these numbers, counted from 0.
    pub(super) fn of_caller(&self, receipts: &std::ops::Range<usize>) -> ReplicaStatus {
        ReplicaStatus {
            applied_through: self.applied_through,
            reach: self.reach,
            as_of: self.as_of_micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
            epoch: self.epoch,
            missing: self.missing,
            dead_lettered: self.dead_lettered.iter().any(|number| receipts.contains(&number.wrapping_sub(1))),
        }
    }
}

/// The positions of the write receipts that a caller hands back, as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedBack {
    /// The first position of each receipt.
    pub firsts: Vec<i64>,
    /// The last position of each receipt.
    pub lasts: Vec<i64>,
}

impl HandedBack {
    /// Takes the positions of the write receipts.
    #[must_use]
    pub fn of(receipts: &[Receipt]) -> Self {
        let writes = receipts.iter().filter_map(|receipt| match receipt {
            Receipt::Write(write) => Some((write.first.get(), write.last.get())),
            Receipt::Read(_) => None,
        });
        let (firsts, lasts) = writes.unzip();
        Self { firsts, lasts }
    }

    /// Whether the caller hands no write receipt back.
    pub(super) fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Appends the receipts of another caller; returns the numbers that they have here.
    pub(super) fn append(&mut self, other: &Self) -> std::ops::Range<usize> {
        let first = self.firsts.len();
        self.firsts.extend(&other.firsts);
        self.lasts.extend(&other.lasts);
        first..self.firsts.len()
    }
}
