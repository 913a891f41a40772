//! Receives messages, applies them in batches, acknowledges them after the replica's commit.
//!
//! | module | holds |
//! |---|---|
//! | [`fault`] | why the subscription has to start again |
//! | `deliveries` | messages taken from a queue and acknowledged |
//! | `feeds` | the two consumed queues, on one connection |
//! | `epoch_words` | tells a restored primary from a stranger |
//! | `epoch_listener` | shares that between tasks |
//! | `kept` | messages of another epoch that are kept |
//! | `judging` | keeps them until it is known whose they are |
//! | `holding` | keeps a batch until the replica has committed it |
//! | `reports` | reports the state of the broker, the replica, the epoch and the dead letters |

pub mod fault;
mod deliveries;
mod epoch_words;
mod epoch_listener;
mod kept;
mod feeds;
mod holding;
mod judging;
mod reports;

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::message::Delivery;
use shared::{
    broker::{Broker, signing::DroppedMessages},
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

pub use self::epoch_listener::EpochListener;
use self::{
    deliveries::{acknowledge, take_ready},
    fault::SubscriptionError,
    feeds::Feeds,
    kept::KeptMessage,
};
use crate::projection::ReplicaSession;

/// Consumes a recipient's queue and applies its messages to the replica.
#[derive(Debug)]
pub struct Subscription {
    /// The broker that delivers events.
    pub broker: Broker,
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
    /// Reports whether dead letters can be stored.
    pub dead_letters_dependency: Dependency,
    /// Gets every watermark.
    pub watermarks: watch::Sender<Option<Watermark>>,
    /// Notified while requested positions do not arrive.
    pub unanswered: Arc<Notify>,
    /// Notified when the primary turns out to have another epoch than the replica.
    pub foreign: Arc<Notify>,
    /// When which epoch was heard.
    pub epoch_words: Arc<EpochListener>,
    /// Counts the watermarks that are not signed.
    pub unsigned_watermarks: DroppedMessages,
}

/// What the loop meets first.
enum Arrival {
    TimeToBind,
    Unanswered,
    TimeToJudge,
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
        self.epoch_words.note_judging(false);
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
        let (is_judging, judge_at) =
            (feeds.strangers.judge_at().is_some(), feeds.strangers.judge_at().unwrap_or_else(Instant::now));
        let arrival = tokio::select! {
            biased;
            () = shutdown.cancelled() => Arrival::Shutdown,
            () = session.lost() => Arrival::ReplicaLost,
            () = sleep_until(feeds.bind_again_at) => Arrival::TimeToBind,
            () = self.unanswered.notified() => Arrival::Unanswered,
            () = sleep_until(judge_at), if is_judging => Arrival::TimeToJudge,
            delivery = feeds.events.next(), if !feeds.strangers.is_full() => Arrival::Events(delivery.ok_or(SubscriptionError::Ended)??),
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
            Arrival::TimeToJudge => self.judge_strangers(replica, feeds, shutdown).await,
            Arrival::Events(first) => {
                feeds.last_heard = Some(Instant::now());
                let deliveries = take_ready(first, &mut feeds.events)?;
                let messages =
                    deliveries.into_iter().map(|one| KeptMessage::now(one, &self.broker.keys)).collect();
                self.take(replica, feeds, messages, shutdown).await
            }
            Arrival::Watermark(delivery) => {
                self.note_watermark(replica, &delivery).await;
                acknowledge(&[&delivery]).await
            }
        }
    }
}
