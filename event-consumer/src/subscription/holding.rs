//! Keeps a batch until the replica has committed it.

use std::time::Duration;

use shared::{
    messages::watermark::Watermark,
    process::{backoff::Pauses, cause::chain},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ReplicaConnection, Subscription, fault::SubscriptionError};
use crate::{
    batch::Batch,
    projection::{
        Applied, ApplyError, ReplicaSession, apply_batch, apply_watermark, fault::ReplicaOpenError,
    },
};

/// Time to keep a batch while the replica is down. Then the channel is closed until the replica is up: a broker stops
/// a queue whose messages stay unacknowledged for half an hour.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Time to keep a batch of another epoch; then it goes back to the queue. Only a rebuild makes it fit, or drops it,
/// and the consumer must soon be free for that.
const FOREIGN_HOLD_MAX: Duration = Duration::from_secs(5);

impl Subscription {
    /// Applies a batch. Keeps it and tries again while the fault is not its own.
    pub(super) async fn apply_until_committed(
        &self,
        replica: &mut ReplicaConnection,
        batch: &Batch<'_>,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let held_since = Instant::now();
        let mut pauses = Pauses::new();
        let mut is_foreign = false;
        loop {
            if let Some(session) = replica {
                match apply_batch(session, batch).await {
                    Ok(Applied { applied_through, dead_lettered }) => {
                        let (events, traces) = (batch.events.len(), batch.traces());
                        tracing::debug!(events, applied_through, dead_lettered, traces, "batch applied");
                        self.replica_dependency.up();
                        if !batch.events.is_empty() {
                            self.epoch_dependency.up();
                        }
                        return Ok(());
                    }
                    Err(error) => {
                        is_foreign = matches!(error, ApplyError::ForeignEpoch { .. });
                        *replica = None;
                        self.report_apply(&error);
                    }
                }
            }
            if is_foreign && held_since.elapsed() > FOREIGN_HOLD_MAX {
                return Err(SubscriptionError::ForeignEpoch);
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

    /// Records a watermark. Ignores one that cannot be read or applied: the next replaces it.
    pub(super) async fn note_watermark(&self, replica: &mut ReplicaConnection, body: &[u8]) {
        let watermark = match Watermark::decode(body) {
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
                self.epoch_dependency.up();
                self.replica_dependency.up();
            }
            Err(error) => {
                if !matches!(error, ApplyError::ForeignEpoch { .. }) {
                    *replica = None;
                }
                self.report_apply(&error);
            }
        }
    }
}
