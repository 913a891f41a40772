//! What became of a write on the replica.

use super::{
    replica::{Read, ReadError, Replica},
    status::{HandedBack, ReplicaStatus, status_of_first, with_status},
};
use crate::register::receipt::{Receipt, WriteReceipt};

/// The highest of the write's positions that is not settled here; null if all are.
pub(super) const SETTLED: &str = with_status!(
    "SELECT replica.*,
            (SELECT upper(int8multirange(int8range($3, $4, '[]')) - applied) - 1 FROM replication_status)
                AS last_unsettled
     FROM replica"
);

/// What the replica has done with the events of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All are applied, and so is everything before them.
    Applied,
    /// All are settled, but not all of them are applied: some were dead-lettered.
    DeadLettered,
    /// Some are not settled yet; this is the last of them.
    Not {
        /// Its position.
        last_unsettled: i64,
    },
}

impl Replica {
    /// What the replica has done with the events of a write.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn settled(&self, write: &WriteReceipt) -> Result<Read<Settled>, ReadError> {
        let HandedBack { firsts, lasts } = HandedBack::of(&[Receipt::Write(*write)]);
        let (first, last) = (write.first.get(), write.last.get());
        self.read(async |client| {
            let settled = client.prepare_cached(SETTLED).await?;
            let rows = client.query(&settled, &[&firsts, &lasts, &first, &last]).await?;
            let status = status_of_first(&rows)?;
            let last_unsettled: Option<i64> = match rows.first() {
                Some(row) => row.try_get("last_unsettled")?,
                None => Some(last),
            };
            Ok((judge(write, last_unsettled, &status), status))
        })
        .await
    }
}

/// Positions of another epoch say nothing of the write. Nor is it applied as long as one before it is missing: the list
/// does not show it yet.
fn judge(write: &WriteReceipt, last_unsettled: Option<i64>, status: &ReplicaStatus) -> Settled {
    let last = write.last.get();
    match last_unsettled {
        _ if status.epoch != Some(write.epoch) => Settled::Not { last_unsettled: last },
        Some(last_unsettled) => Settled::Not { last_unsettled },
        None if status.dead_lettered => Settled::DeadLettered,
        None if status.applied_through < last => Settled::Not { last_unsettled: last },
        None => Settled::Applied,
    }
}
