//! What the replica holds, as a query's own snapshot sees it. Every query selects it in the statement that selects its
//! rows, so that nothing can come between the two.

use jiff::Timestamp;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use crate::register::receipt::{ReadReceipt, Receipt};

/// Begins a query with a common table expression `replica` of one row. `$1` and `$2` are the first and last positions of the write receipts
/// that a read hands back.
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

/// What the replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// The highest position that is settled; beyond `applied_through` when one before it is missing.
    pub reach: i64,
    /// Every write whose commit time is not after this is settled. `None` before anything was.
    pub as_of: Option<Timestamp>,
    /// The epoch in which the positions count.
    pub epoch: Option<Uuid>,
    /// How many settled positions were dead-lettered instead of applied.
    pub missing: i64,
    /// Whether a write of which a receipt was handed back is among them.
    pub dead_lettered: bool,
}

impl ReplicaStatus {
    /// Of a replica that says nothing of itself: as if nothing had been applied.
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

    /// What this read gives its caller to hand back. It names the highest position, since a row may show a write
    /// beyond the first that is missing.
    #[must_use]
    pub fn receipt(&self) -> ReadReceipt {
        ReadReceipt { epoch: self.epoch, reach: self.reach }
    }
}

/// The positions of the write receipts that a read hands back, as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedBack {
    /// The first position of each.
    pub firsts: Vec<i64>,
    /// The last position of each.
    pub lasts: Vec<i64>,
}

impl HandedBack {
    /// Takes the positions of those receipts that are of writes.
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

/// The status that the first row holds.
pub(super) fn status_of_first(rows: &[Row]) -> Result<ReplicaStatus, Error> {
    rows.first().map_or(Ok(ReplicaStatus::SILENT), ReplicaStatus::of)
}
