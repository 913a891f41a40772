//! Receives messages, has them applied in batches, settles them. Acknowledged is only what the replica has committed.

pub mod fault;
mod feeds;
mod deliveries;

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{Channel, message::Delivery};
use shared::{
    broker::{
        BrokerUrl,
        topology::{
            bind_watermark_queue, declare_events_exchange, declare_events_queue, declare_watermark_queue,
        },
        within_deadline,
    },
    messages::watermark::Watermark,
    postgres::DatabaseUrl,
    process::cause::chain,
    process::{backoff::Pauses, dependency_state::Dependency},
    replica_name::Recipient,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    deliveries::{PREFETCH_MESSAGES, PREFETCH_WATERMARKS, acknowledge, consume_queue, take_ready},
    fault::SubscriptionError,
    feeds::Feeds,
};
use crate::{
    batch::Batch,
    projection::{
        Applied, ApplyError, ReplicaSession, apply_batch, apply_watermark, fault::ReplicaOpenError,
    },
};

/// How long a batch is held while the replica is down. Then the channel is closed and opened again when the replica
/// is back: a broker stops a queue whose messages are held for half an hour.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// How long a batch of another epoch is held. Only a rebuild makes it fit, or makes it something to be forgotten: then the
/// consumer must be free soon.
const FOREIGN_HOLD_MAX: Duration = Duration::from_secs(5);

/// How often the queue is bound again, and looked at. Nobody says that a binding, or the exchange, was removed by hand;
/// and when a queue is deleted and made anew at once, the broker does not say that it is another one, without us.
const BIND_INTERVAL: Duration = Duration::from_secs(2);

/// What is to be done when the replica is of another epoch.
const FOREIGN_EPOCH: &str = "the primary was restored or replaced, and the replica is of a former epoch: \
                             run event-consumer rebuild";

/// What the subscription works with.
#[derive(Debug)]
pub struct Subscription {
    /// Where events come from.
    pub broker: BrokerUrl,
    /// Where they are applied.
    pub replica: DatabaseUrl,
    /// Whose queue is consumed.
    pub recipient: Recipient,
    /// Reports whether the broker answers.
    pub broker_dependency: Dependency,
    /// Reports whether the replica answers.
    pub replica_dependency: Dependency,
    /// Reports whether the replica is of the epoch from which events come.
    pub epoch_dependency: Dependency,
    /// Gets every watermark.
    pub watermarks: watch::Sender<Option<Watermark>>,
    /// Notified while something that was asked for does not come.
    pub unanswered: Arc<Notify>,
    /// Notified when something came that is of another epoch than the replica.
    pub foreign: Arc<Notify>,
}

/// What came first.
enum Arrival {
    TimeToBind,
    Unanswered,
    Events(Delivery),
    Watermark(Delivery),
    ReplicaLost,
    Shutdown,
}

/// The connection to the replica, while there is one.
type ReplicaConnection = Option<ReplicaSession>;

impl Subscription {
    /// The loop: subscribes when the replica is there, applies, starts again after any failure. Ends, after the batch
    /// in hand, when `shutdown` is cancelled.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut replica = None;
        let mut pauses = Pauses::new();
        while !shutdown.is_cancelled() {
            if replica.is_none() {
                replica = self.open_replica().await;
            }
            if replica.is_some() {
                self.replica_dependency.up();
                let result = self.consume(&mut replica, &mut pauses, &shutdown).await;
                if let Err(error) = result {
                    self.report(&error);
                }
            }
            shutdown.run_until_cancelled(pauses.wait()).await;
        }
    }

    /// Consumes until the shutdown or the first failure of the broker's side.
    async fn consume(
        &self,
        replica: &mut ReplicaConnection,
        pauses: &mut Pauses,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let mut feeds = self.subscribe().await?;
        self.broker_dependency.up();
        *pauses = Pauses::new();
        let mut result = Ok(());
        while result.is_ok() && !shutdown.is_cancelled() {
            result = self.next_step(replica, &mut feeds, shutdown).await;
        }
        let Feeds { connection, events, watermarks, .. } = feeds;
        drop((events, watermarks));
        let _ = within_deadline(connection.close(200, "done".into())).await;
        result
    }

    async fn subscribe(&self) -> Result<Feeds, SubscriptionError> {
        let connection = self.broker.connect(&self.recipient.step("consumer")).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        self.bind(&channel).await?;
        let queue = self.recipient.queue().into();
        let events = consume_queue(&channel, queue, "event-consumer", PREFETCH_MESSAGES).await?;
        // A channel of its own: what is acknowledged on one says nothing of the other.
        let second = within_deadline(connection.create_channel()).await?;
        let watermark_queue = within_deadline(declare_watermark_queue(&second)).await?;
        let watermarks =
            consume_queue(&second, watermark_queue.clone(), "watermarks", PREFETCH_WATERMARKS).await?;
        let bind_again_at = Instant::now() + BIND_INTERVAL;
        Ok(Feeds {
            connection,
            channel,
            bind_again_at,
            watermark_queue,
            events,
            watermarks,
            last_heard: None,
        })
    }

    /// Declares and binds the queue, which changes nothing if it is as it should be. Returns how many consume it.
    async fn bind(&self, channel: &Channel) -> Result<u32, SubscriptionError> {
        within_deadline(declare_events_exchange(channel)).await?;
        Ok(within_deadline(declare_events_queue(channel, &self.recipient)).await?)
    }

    /// Waits for messages, applies what is ready, acknowledges it.
    async fn next_step(
        &self,
        replica: &mut ReplicaConnection,
        feeds: &mut Feeds,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let Some(session) = replica else {
            return self.reconnect(replica, shutdown).await;
        };
        let arrival = tokio::select! {
            biased;
            () = shutdown.cancelled() => Arrival::Shutdown,
            () = session.lost() => Arrival::ReplicaLost,
            () = sleep_until(feeds.bind_again_at) => Arrival::TimeToBind,
            () = self.unanswered.notified() => Arrival::Unanswered,
            delivery = feeds.events.next() => Arrival::Events(delivery.ok_or(SubscriptionError::Ended)??),
            delivery = feeds.watermarks.next() => {
                Arrival::Watermark(delivery.ok_or(SubscriptionError::Ended)??)
            }
        };
        match arrival {
            Arrival::Shutdown => Ok(()),
            Arrival::ReplicaLost => {
                *replica = None;
                Ok(())
            }
            Arrival::TimeToBind => {
                if self.bind(&feeds.channel).await? == 0 {
                    return Err(SubscriptionError::Ended);
                }
                within_deadline(bind_watermark_queue(&feeds.channel, &feeds.watermark_queue)).await?;
                feeds.bind_again_at = Instant::now() + BIND_INTERVAL;
                Ok(())
            }
            Arrival::Unanswered if self.may_be_deaf(feeds) => Err(SubscriptionError::Unanswered),
            Arrival::Unanswered => Ok(()),
            Arrival::Events(first) => {
                feeds.last_heard = Some(Instant::now());
                let deliveries = take_ready(first, &mut feeds.events)?;
                self.apply_until_committed(replica, &Batch::read(&deliveries), shutdown).await?;
                acknowledge(&deliveries).await
            }
            Arrival::Watermark(delivery) => {
                self.note_watermark(replica, &delivery.data).await;
                acknowledge(&[delivery]).await
            }
        }
    }

    /// A queue of this connection's own cannot be deleted and made anew by somebody else; it would be lost with its answers.
    fn may_be_deaf(&self, feeds: &Feeds) -> bool {
        matches!(self.recipient, Recipient::Replica(_)) && feeds.may_be_deaf()
    }

    /// Notes a watermark. One that cannot be read or applied is passed over: the next says more.
    async fn note_watermark(&self, replica: &mut ReplicaConnection, body: &[u8]) {
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

    /// Applies a batch; holds it and tries again for as long as the fault is not its own.
    async fn apply_until_committed(
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

    /// Waits for a replica that was lost while nothing was in hand.
    async fn reconnect(
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

    /// Opens a session. That the replica is up is reported by who then finds it working.
    async fn open_replica(&self) -> ReplicaConnection {
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

    fn report_apply(&self, error: &ApplyError) {
        match error {
            ApplyError::Replica(_) | ApplyError::Deadline => {
                self.replica_dependency.down("not connected, or not able to write", error);
            }
            ApplyError::ForeignEpoch { .. } => {
                self.foreign.notify_one();
                self.epoch_dependency.down(FOREIGN_EPOCH, error);
            }
        }
    }

    fn report(&self, error: &SubscriptionError) {
        match error {
            SubscriptionError::Unanswered => {
                tracing::warn!("subscribing anew: what was asked for does not come")
            }
            SubscriptionError::HeldTooLong => tracing::warn!("messages are given back: the replica is down"),
            SubscriptionError::ForeignEpoch => {
                tracing::debug!("messages are given back: the replica is of another epoch");
            }
            SubscriptionError::Broker(_) | SubscriptionError::Ended | SubscriptionError::ChannelClosed => {
                self.broker_dependency.down("not connected, or not consuming", error);
            }
        }
    }
}
