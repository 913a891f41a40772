//! What the replica has done with a write.

use super::{
    replica::{Read, ReadError, Replica},
    status::{HandedBack, ReplicaStatus, status_of_first, with_status},
};
use crate::register::receipt::{Receipt, WriteReceipt};

/// The write's highest unsettled position; null if all are settled.
pub(super) const SETTLED: &str = with_status!(
    "SELECT replica.*,
            (SELECT upper(int8multirange(int8range($3, $4, '[]')) - applied) - 1 FROM replication_status)
                AS last_unsettled
     FROM replica"
);

/// What the replica has done with the events of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All events are applied, and every earlier position is settled.
    Applied,
    /// All events are settled, but the replica dead-lettered some of them.
    DeadLettered,
    /// Some events are not settled yet.
    Not {
        /// The last position that is not settled.
        last_unsettled: i64,
    },
}

impl Replica {
    /// Asks the replica what it has done with the events of a write.
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

/// Positions of another epoch say nothing of the write. While an earlier position is missing, the write does not count
/// as applied: the list does not show it yet.
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
