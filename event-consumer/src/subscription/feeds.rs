//! The consumed queues of events and watermarks, on one connection.

use std::time::Duration;

use lapin::{Channel, Connection, Consumer, types::ShortString};
use shared::{
    broker::{
        Broker,
        topology::{
            bind_watermark_queue, declare_events_exchange, declare_events_queue, declare_watermark_queue,
        },
        within_deadline,
    },
    replica_name::Recipient,
};
use tokio::time::Instant;

use super::{
    deliveries::{PREFETCH_MESSAGES, PREFETCH_WATERMARKS, consume_queue},
    fault::SubscriptionError,
    kept::Strangers,
};
use crate::holes::plan::HEARING_PATIENCE;

/// Time after which the queue is bound and checked again. The broker does not report a removed binding or exchange.
/// Nor does it report a queue that was deleted and declared again at once.
const BIND_INTERVAL: Duration = Duration::from_secs(2);

/// The consumed queues of events and watermarks, on one connection.
pub(super) struct Feeds {
    connection: Connection,
    channel: Channel,
    watermark_queue: ShortString,
    /// When to bind the queues again.
    pub(super) bind_again_at: Instant,
    /// Messages of the replica's queue.
    pub(super) events: Consumer,
    /// Messages of this connection's own queue.
    pub(super) watermarks: Consumer,
    /// Messages of other epochs, which are not acknowledged yet.
    pub(super) strangers: Strangers,
    /// When events last arrived. Until a first one arrives, subscribing again does not help.
    pub(super) last_heard: Option<Instant>,
}

impl Feeds {
    /// Connects, declares the queues and begins to consume them.
    pub(super) async fn open(broker: &Broker, recipient: &Recipient) -> Result<Self, SubscriptionError> {
        let connection = broker.url.connect(&recipient.step("consumer")).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        bind(&channel, recipient).await?;
        let events =
            consume_queue(&channel, recipient.queue().into(), "event-consumer", PREFETCH_MESSAGES).await?;
        // A separate channel: an acknowledgement on one says nothing about the other.
        let second = within_deadline(connection.create_channel()).await?;
        let watermark_queue = within_deadline(declare_watermark_queue(&second)).await?;
        let watermarks =
            consume_queue(&second, watermark_queue.clone(), "watermarks", PREFETCH_WATERMARKS).await?;
        Ok(Self {
            connection,
            channel,
            watermark_queue,
            bind_again_at: Instant::now() + BIND_INTERVAL,
            events,
            watermarks,
            strangers: Strangers::default(),
            last_heard: None,
        })
    }

    /// Binds both queues again. Fails if the replica's queue has no consumer: then it is a new queue.
    pub(super) async fn bind_again(&mut self, recipient: &Recipient) -> Result<(), SubscriptionError> {
        if bind(&self.channel, recipient).await? == 0 {
            return Err(SubscriptionError::Ended);
        }
        within_deadline(bind_watermark_queue(&self.channel, &self.watermark_queue)).await?;
        self.bind_again_at = Instant::now() + BIND_INTERVAL;
        Ok(())
    }

    /// Whether events arrived once and no longer do. False for a rebuild: no other connection can delete its queue,
    /// and a new subscription would lose the queue with its answers.
    pub(super) fn may_be_deaf(&self, recipient: &Recipient) -> bool {
        matches!(recipient, Recipient::Replica(_))
            && self.last_heard.is_some_and(|heard| heard.elapsed() >= HEARING_PATIENCE)
    }

    /// Closes the connection, within a bound.
    pub(super) async fn close(self) {
        let Self { connection, events, watermarks, .. } = self;
        drop((events, watermarks));
        let _ = within_deadline(connection.close(200, "done".into())).await;
    }
}

/// Declares and binds the replica's queue; changes nothing if it is correct. Returns its number of consumers.
async fn bind(channel: &Channel, recipient: &Recipient) -> Result<u32, SubscriptionError> {
    within_deadline(declare_events_exchange(channel)).await?;
    Ok(within_deadline(declare_events_queue(channel, recipient)).await?)
}
