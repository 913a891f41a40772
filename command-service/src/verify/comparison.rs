//! The two databases that are compared: whether they belong together, and how far the replica is.

use std::time::Duration;

use shared::{postgres::DatabaseUrl, process::backoff::Pauses};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    difference::Difference,
    error::VerifyError,
    primary_side::{End, PrimarySide},
    replica_side::ReplicaSide,
};

/// The two databases that are compared.
#[derive(Debug)]
pub struct Comparison {
    pub(super) primary: PrimarySide,
    pub(super) replica: ReplicaSide,
    /// The epoch of both.
    pub(super) epoch: Uuid,
}

impl Comparison {
    /// Connects to both, checks that they belong together, and returns the end of the log.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn open(primary: &DatabaseUrl, replica: &DatabaseUrl) -> Result<(Self, End), VerifyError> {
        let primary = PrimarySide::open(primary).await?;
        let replica = ReplicaSide::open(replica).await?;
        // The replica is read first, so the log has everything that the replica had settled.
        let level = replica.level(0).await?;
        let end = primary.end().await?;
        if level.epoch.is_some_and(|epoch| epoch != end.epoch) {
            return Err(VerifyError::OtherEpoch);
        }
        if level.applied_through > end.position {
            return Err(VerifyError::Ahead { reach: level.reach, end: end.position });
        }
        Ok((Self { primary, replica, epoch: end.epoch }, end))
    }

    /// Waits until the replica has settled everything up to a position.
    pub(super) async fn wait_for_level(&self, end: i64, wait: Duration) -> Result<(), VerifyError> {
        let deadline = Instant::now() + wait;
        let mut pauses = Pauses::new();
        loop {
            let level = self.replica.level(end).await?;
            if level.epoch.is_some_and(|epoch| epoch != self.epoch) {
                return Err(VerifyError::OtherEpoch);
            }
            if level.missing == 0 {
                return Ok(());
            }
            let pause = pauses.next_pause();
            if Instant::now() + pause > deadline {
                let (first, more) = (level.applied_through + 1, level.missing - 1);
                return Err(VerifyError::Behind { first, more, end });
            }
            sleep(pause).await;
        }
    }

    /// Checks that neither database was replaced since the start, and returns the end of the log now.
    pub(super) async fn confirm(&self, begun: End) -> Result<End, VerifyError> {
        let level = self.replica.level(begun.position).await?;
        let end = self.primary.end().await?;
        let replaced = end.epoch != begun.epoch
            || level.epoch.is_some_and(|epoch| epoch != begun.epoch)
            || level.missing > 0
            || level.applied_through > end.position;
        if replaced { Err(VerifyError::Replaced) } else { Ok(end) }
    }

    /// Compares what the replica claims of itself with the log. A rebuild heals it.
    pub(super) async fn claims(&self) -> Result<Vec<Difference>, VerifyError> {
        // The replica is read first, so the log has everything that the replica may claim.
        let level = self.replica.level(0).await?;
        let end = self.primary.end().await?;
        let reach = (level.reach > end.position)
            .then_some(Difference::Reach { found: level.reach, end: end.position });
        let later = level.as_of.filter(|as_of| Some(*as_of) > end.as_of);
        let as_of = later.map(|found| Difference::AsOf { found, latest: end.as_of });
        Ok(reach.into_iter().chain(as_of).collect())
    }

    /// Compares the summary with the rows, read in one snapshot. `None`: they agree.
    pub(super) async fn summary(&self) -> Result<Option<Difference>, VerifyError> {
        let (found, expected) = self.replica.summary().await?;
        Ok((found != expected).then_some(Difference::Summary { found, expected }))
    }
}
