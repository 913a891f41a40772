//! What is consumed, on one connection.

use std::time::Duration;

use lapin::{Channel, Connection, Consumer, types::ShortString};
use shared::{
    broker::{
        BrokerUrl,
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
};
use crate::holes::plan::HEARING_PATIENCE;

/// How often the queue is bound again, and looked at. The broker reports neither a binding nor an exchange that somebody
/// removed; and when a queue is deleted and declared again at once, it does not say that it is another one.
const BIND_INTERVAL: Duration = Duration::from_secs(2);

/// What is consumed, on one connection.
pub(super) struct Feeds {
    connection: Connection,
    channel: Channel,
    watermark_queue: ShortString,
    /// When the queues are bound again.
    pub(super) bind_again_at: Instant,
    /// Messages of the replica's queue.
    pub(super) events: Consumer,
    /// Messages of this connection's own queue.
    pub(super) watermarks: Consumer,
    /// When events came last. A new subscription is of no use while this one has heard nothing.
    pub(super) last_heard: Option<Instant>,
}

impl Feeds {
    /// Connects, declares the queues and begins to consume them.
    pub(super) async fn open(broker: &BrokerUrl, recipient: &Recipient) -> Result<Self, SubscriptionError> {
        let connection = broker.connect(&recipient.step("consumer")).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        bind(&channel, recipient).await?;
        let events =
            consume_queue(&channel, recipient.queue().into(), "event-consumer", PREFETCH_MESSAGES).await?;
        // A channel of its own: an acknowledgement on one says nothing of the other.
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
            last_heard: None,
        })
    }

    /// Binds both queues again. Fails when nobody consumes the replica's queue: then it is not the one that was.
    pub(super) async fn bind_again(&mut self, recipient: &Recipient) -> Result<(), SubscriptionError> {
        if bind(&self.channel, recipient).await? == 0 {
            return Err(SubscriptionError::Ended);
        }
        within_deadline(bind_watermark_queue(&self.channel, &self.watermark_queue)).await?;
        self.bind_again_at = Instant::now() + BIND_INTERVAL;
        Ok(())
    }

    /// Whether events came once and no longer do. Nobody else can delete and declare again the queue of a rebuild: it
    /// would be lost with its answers.
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

/// Declares and binds the replica's queue, which changes nothing if it is as it should be. Returns how many consume it.
async fn bind(channel: &Channel, recipient: &Recipient) -> Result<u32, SubscriptionError> {
    within_deadline(declare_events_exchange(channel)).await?;
    Ok(within_deadline(declare_events_queue(channel, recipient)).await?)
}
