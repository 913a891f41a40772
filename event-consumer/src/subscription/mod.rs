//! Receives messages, applies them in batches, acknowledges them after the replica's commit.
//!
//! | module | holds |
//! |---|---|
//! | [`fault`] | why the subscription has to start again |
//! | `deliveries` | messages taken from a queue and acknowledged |
//! | `feeds` | the two consumed queues, on one connection |
//! | `holding` | keeps a batch until the replica has committed it |
//! | `reports` | reports the state of the broker, the replica and the epoch |

pub mod fault;
mod deliveries;
mod feeds;
mod holding;
mod reports;

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::message::Delivery;
use shared::{
    broker::BrokerUrl,
    messages::watermark::Watermark,
    postgres::DatabaseUrl,
    process::{backoff::Pauses, dependency_state::Dependency},
    replica_name::Recipient,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    deliveries::{acknowledge, take_ready},
    fault::SubscriptionError,
    feeds::Feeds,
};
use crate::{batch::Batch, projection::ReplicaSession};

/// Consumes a recipient's queue and applies its messages to the replica.
#[derive(Debug)]
pub struct Subscription {
    /// The broker that delivers events.
    pub broker: BrokerUrl,
    /// The replica that takes the events.
    pub replica: DatabaseUrl,
    /// The replica or rebuild whose queue is consumed.
    pub recipient: Recipient,
    /// Reports whether the broker answers.
    pub broker_dependency: Dependency,
    /// Reports whether the replica answers.
    pub replica_dependency: Dependency,
    /// Reports whether the replica has the epoch of the events.
    pub epoch_dependency: Dependency,
    /// Gets every watermark.
    pub watermarks: watch::Sender<Option<Watermark>>,
    /// Notified while requested positions do not arrive.
    pub unanswered: Arc<Notify>,
    /// Notified when a message of another epoch than the replica's arrives.
    pub foreign: Arc<Notify>,
}

/// What the loop meets first.
enum Arrival {
    TimeToBind,
    Unanswered,
    Events(Delivery),
    Watermark(Delivery),
    ReplicaLost,
    Shutdown,
}

/// The connection to the replica, if open.
type ReplicaConnection = Option<ReplicaSession>;

impl Subscription {
    /// Subscribes once the replica is up, applies, and starts again after any failure. Ends after the current batch
    /// when `shutdown` is cancelled.
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

    /// Consumes until the shutdown or the first failure of the broker or the subscription.
    async fn consume(
        &self,
        replica: &mut ReplicaConnection,
        pauses: &mut Pauses,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let mut feeds = Feeds::open(&self.broker, &self.recipient).await?;
        self.broker_dependency.up();
        *pauses = Pauses::new();
        let mut result = Ok(());
        while result.is_ok() && !shutdown.is_cancelled() {
            result = self.next_step(replica, &mut feeds, shutdown).await;
        }
        feeds.close().await;
        result
    }

    /// Waits for messages, applies those that are ready and acknowledges them.
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
            Arrival::TimeToBind => feeds.bind_again(&self.recipient).await,
            Arrival::Unanswered if feeds.may_be_deaf(&self.recipient) => Err(SubscriptionError::Unanswered),
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
}
