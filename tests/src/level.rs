//! The checks: whether the log is sound, whether both sides say what it says, and whether the log is what the clients
//! were told.

pub mod rows;
pub mod fold;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::Client;

pub use self::{
    fold::fold,
    rows::{EventRow, PrimaryRow, ReplicaRow, ReplicationStatus, Tombstone},
};
use crate::{
    database::Database,
    load::History,
    pair::Pair,
    scale::scaled,
    wait::{RECOVERY, eventually},
};

/// The statuses that the summary counts.
const STATUSES: [&str; 4] = ["available", "blocked", "occupied", "reserved"];

/// Everything that both databases hold, read while nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everything {
    /// The log, in order.
    pub events: Vec<EventRow>,
    /// The write model.
    pub primary: Vec<PrimaryRow>,
    /// How many events wait to be published.
    pub outbox: i64,
    /// The epoch of the primary.
    pub epoch: uuid::Uuid,
    /// The read model.
    pub replica: Vec<ReplicaRow>,
    /// The deleted slots.
    pub tombstones: Vec<Tombstone>,
    /// The precomputed summary.
    pub summary: BTreeMap<String, i64>,
    /// What has been applied.
    pub status: ReplicationStatus,
    /// How many dead letters are open.
    pub dead_letters: i64,
}

/// Waits until the replica holds everything that the log says and nothing else, and checks that the log itself is
/// sound. Call it when no command is under way any more.
///
/// # Errors
/// What is different, or unsound.
pub async fn assert_level(pair: &Pair) -> Result<Everything> {
    // Everything of both is read for each look.
    let deadline = scaled(RECOVERY, RECOVERY / 10);
    eventually(deadline, "the replica is level with the primary", async || {
        let everything = Everything::read(&pair.primary, &pair.replica).await?;
        everything.check()?;
        Ok(everything)
    })
    .await
}

/// [`assert_level`], and that the log is exactly what the clients of a load were told.
///
/// # Errors
/// What is different, unsound, lost or unasked for.
pub async fn assert_level_with(pair: &Pair, history: &History) -> Result<Everything> {
    let everything = assert_level(pair).await?;
    history.check(&everything.events)?;
    Ok(everything)
}

impl Everything {
    /// Reads both databases.
    ///
    /// # Errors
    /// One of them is down.
    pub async fn read(primary: &Database, replica: &Database) -> Result<Self> {
        Self::read_from(&*primary.sql().await?, &*replica.sql().await?).await
    }

    /// Reads both databases through these connections.
    ///
    /// # Errors
    /// One of them is down.
    pub async fn read_from(primary: &Client, replica: &Client) -> Result<Self> {
        Ok(Self {
            events: rows::events(primary).await?,
            primary: rows::primary_slots(primary).await?,
            outbox: primary.query_one("SELECT count(*) FROM outbox", &[]).await?.try_get(0)?,
            epoch: primary.query_one("SELECT epoch FROM epoch", &[]).await?.try_get(0)?,
            replica: rows::replica_slots(replica).await?,
            tombstones: rows::tombstones(replica).await?,
            summary: rows::summary(replica).await?,
            status: rows::replication_status(replica).await?,
            dead_letters: replica.query_one("SELECT count(*) FROM dead_letters", &[]).await?.try_get(0)?,
        })
    }

    /// Whether the log is sound and both sides agree with it.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self) -> Result<()> {
        let (slots, tombstones) = fold(&self.events).context("the log is not sound")?;
        same("the primary's slots are not what the log makes of them", &slots, &self.primary)?;
        ensure!(self.outbox == 0, "{} events wait in the outbox of an idle pair", self.outbox);
        let copies: Vec<ReplicaRow> = self.primary.iter().map(PrimaryRow::copy).collect();
        same("the replica is not the primary's copy", &copies, &self.replica)?;
        same("the tombstones are not those of the log's deletes", &tombstones, &self.tombstones)?;
        self.check_summary()?;
        self.check_status()
    }

    fn check_summary(&self) -> Result<()> {
        let mut counted: BTreeMap<String, i64> =
            STATUSES.iter().map(|status| ((*status).to_owned(), 0)).collect();
        for row in &self.replica {
            *counted.entry(row.status.clone()).or_default() += 1;
        }
        ensure!(
            counted == self.summary,
            "the summary says {:?}, and counting says {counted:?}",
            self.summary
        );
        Ok(())
    }

    fn check_status(&self) -> Result<()> {
        let status = &self.status;
        let end = self.events.len() + 1;
        ensure!(
            status.applied == format!("{{[0,{end})}}"),
            "the log has {} events, and applied is {}",
            self.events.len(),
            status.applied
        );
        ensure!(self.dead_letters == 0, "{} letters are dead, and none should be", self.dead_letters);
        let Some(last) = self.events.last() else {
            return Ok(());
        };
        ensure!(
            status.applied_through == last.position,
            "applied is {}, and applied_through {}",
            status.applied,
            status.applied_through
        );
        // Exactly that time, or later by a watermark.
        ensure!(
            status.as_of >= Some(last.committed_at),
            "everything is applied, the last of it committed at {}, and as_of is {:?}",
            last.committed_at,
            status.as_of
        );
        ensure!(
            status.ahead == 0,
            "{} commit times are kept beyond a hole, and there is no hole",
            status.ahead
        );
        ensure!(
            status.epoch == Some(self.epoch),
            "the primary's epoch is {}, and the replica has {:?}",
            self.epoch,
            status.epoch
        );
        Ok(())
    }
}

/// Compares two lists that are in the same order, and shows the first difference only.
fn same<T: PartialEq + std::fmt::Debug>(problem: &str, expected: &[T], found: &[T]) -> Result<()> {
    for number in 0..expected.len().max(found.len()) {
        let (left, right) = (expected.get(number), found.get(number));
        if left != right {
            bail!(
                "{problem}: row {number} of {} and {}: expected {left:?}, found {right:?}",
                expected.len(),
                found.len()
            );
        }
    }
    Ok(())
}
