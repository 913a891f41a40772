//! Keeps a batch until the replica has committed it.

use std::time::Duration;

use lapin::message::Delivery;
use shared::{
    messages::watermark::Watermark,
    process::{backoff::Pauses, cause::chain},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ReplicaConnection, Subscription, epoch_words::Origin, fault::SubscriptionError};
use crate::{
    batch::Batch,
    projection::{
        Applied, ApplyError, ReplicaSession, apply_batch, apply_refused, apply_watermark,
        fault::ReplicaOpenError,
    },
};

/// Time to keep a batch while the replica is down. Then the channel is closed until the replica is up: a broker stops
/// a queue whose messages stay unacknowledged for half an hour.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(60);

/// What became of a batch.
pub(super) enum Held {
    /// The replica has committed it.
    Applied,
    /// Some of it is of another epoch than the replica's, which this is. Nothing of it is applied.
    OfAnotherEpoch(Uuid),
}

impl Subscription {
    /// Applies a batch. Keeps it and tries again while the fault is not its own.
    pub(super) async fn apply_until_committed(
        &self,
        replica: &mut ReplicaConnection,
        batch: &Batch<'_>,
        shutdown: &CancellationToken,
    ) -> Result<Held, SubscriptionError> {
        let held_since = Instant::now();
        let mut pauses = Pauses::new();
        let mut was_refused = false;
        loop {
            if let Some(session) = replica {
                let applied = match was_refused {
                    false => apply_batch(session, batch).await,
                    true => apply_refused(session, batch).await,
                };
                match applied {
                    Ok(Applied { applied_through, dead_lettered, not_stored }) => {
                        let (events, traces) = (batch.events.len(), batch.traces());
                        tracing::debug!(events, applied_through, dead_lettered, traces, "batch applied");
                        self.replica_dependency.up();
                        self.report_letters(dead_lettered, not_stored);
                        return Ok(Held::Applied);
                    }
                    Err(ApplyError::ForeignEpoch { held, .. }) => return Ok(Held::OfAnotherEpoch(held)),
                    Err(error) => {
                        // A new connection shows that the replica is well.
                        was_refused |= matches!(error, ApplyError::Refused(_));
                        *replica = None;
                        self.report_apply(&error);
                    }
                }
            }
            if held_since.elapsed() > HOLD_MAX || shutdown.is_cancelled() {
                return Err(SubscriptionError::HeldTooLong);
            }
            shutdown.run_until_cancelled(pauses.wait()).await;
            *replica = self.open_replica().await;
        }
    }

    /// Connects again to a replica that was lost between batches.
    pub(super) async fn reconnect(
        &self,
        replica: &mut ReplicaConnection,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let away_since = Instant::now();
        let mut pauses = Pauses::new();
        while replica.is_none() && !shutdown.is_cancelled() {
            *replica = self.open_replica().await;
            if replica.is_none() {
                if away_since.elapsed() > HOLD_MAX {
                    return Err(SubscriptionError::HeldTooLong);
                }
                shutdown.run_until_cancelled(pauses.wait()).await;
            }
        }
        self.replica_dependency.up();
        Ok(())
    }

    /// Opens a session. The caller reports the replica as up once the session has worked.
    pub(super) async fn open_replica(&self) -> ReplicaConnection {
        match ReplicaSession::open(&self.replica).await {
            Ok(session) => Some(session),
            Err(error) => {
                let detail = match error {
                    ReplicaOpenError::Connect(_) | ReplicaOpenError::Lost(_) => "not connected",
                    ReplicaOpenError::Schema(_) => "not migrated: run event-consumer migrate",
                };
                self.replica_dependency.down(detail, &error);
                None
            }
        }
    }

    /// Records a watermark. Ignores one that cannot be trusted, read or applied: the next replaces it.
    pub(super) async fn note_watermark(&self, replica: &mut ReplicaConnection, delivery: &Delivery) {
        if let Err(unsigned) = self.broker.keys.check(delivery) {
            return self.unsigned_watermarks.note(unsigned);
        }
        let watermark = match Watermark::decode(&delivery.data) {
            Ok(watermark) => watermark,
            Err(error) => {
                tracing::warn!(error = chain(&error), "watermark passed over");
                return;
            }
        };
        self.watermarks.send_replace(Some(watermark));
        let Some(session) = replica else { return };
        match apply_watermark(session, &watermark).await {
            Ok(()) => {
                self.hear_own(watermark.epoch);
                self.replica_dependency.up();
            }
            Err(ApplyError::ForeignEpoch { held, met }) => {
                self.hear_other(met, false);
                if self.judge(met) == Origin::RestoredPrimary {
                    self.report_restored(held, met);
                }
            }
            Err(error) => {
                *replica = None;
                self.report_apply(&error);
            }
        }
    }
}
