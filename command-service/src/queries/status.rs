//! How far the replica has come, in a query's own snapshot. Every query selects this status in the statement that
//! selects its rows. So no change can come between the two.

use jiff::Timestamp;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use crate::register::receipt::{ReadReceipt, Receipt};

/// Begins a query with a common table expression `replica` of one row. `$1` and `$2` are the first and last positions
/// of the write receipts that the caller hands back.
macro_rules! with_status {
    ($query:literal) => {
        concat!(
            "WITH replica AS MATERIALIZED (
                SELECT applied_through, upper(applied) - 1 AS reach, as_of, epoch,
                       (SELECT count(*) FROM dead_letters WHERE position IS NOT NULL) AS missing,
                       EXISTS (SELECT FROM dead_letters AS letter
                               JOIN unnest($1::bigint[], $2::bigint[]) AS receipt (first, last)
                                    ON letter.position BETWEEN receipt.first AND receipt.last) AS dead_lettered
                FROM replication_status
            ) ",
            $query
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
    /// The status of a replica without a status row: as if it had applied nothing.
    const SILENT: Self =
        Self { applied_through: 0, reach: 0, as_of: None, epoch: None, missing: 0, dead_lettered: false };

    /// Reads the status from a row that has its columns.
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            applied_through: row.try_get("applied_through")?,
            reach: row.try_get("reach")?,
            as_of: row.try_get("as_of")?,
            epoch: row.try_get("epoch")?,
            missing: row.try_get("missing")?,
            dead_lettered: row.try_get("dead_lettered")?,
        })
    }

    /// The receipt of this read. It names the highest settled position, because a row may show a write beyond the first
    /// missing position.
    #[must_use]
    pub fn receipt(&self) -> ReadReceipt {
        ReadReceipt { epoch: self.epoch, reach: self.reach }
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
}

/// Reads the status from the first row.
pub(super) fn status_of_first(rows: &[Row]) -> Result<ReplicaStatus, Error> {
    rows.first().map_or(Ok(ReplicaStatus::SILENT), ReplicaStatus::of)
}
