//! The broker's exchange and queues: every name and every option, with its reason.

use std::{fmt, str::FromStr};

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{event::EventType, replay::REPLAY_QUEUE, watermark::WATERMARK_KEY};

/// The topic exchange to which the relay publishes every event; the routing key is the event's type.
pub const EVENTS_EXCHANGE: &str = "parking.events";

/// How often a message may be returned to its queue before the broker drops it. Brokers from 4.0 on drop after 20
/// when nothing is said, and each crash of a consumer counts for every message it held. A message that cannot be
/// applied is set aside by the consumer, so this bound is only there to be one.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// The name of a replica: `[a-z0-9_-]{1,40}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaName(String);

/// The text is not the name of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 40 of a-z, 0-9, _ and -")]
pub struct ReplicaNameError;

impl FromStr for ReplicaName {
    type Err = ReplicaNameError;

    fn from_str(text: &str) -> Result<Self, ReplicaNameError> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(ReplicaNameError) }
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ReplicaName {
    /// The name of a replica that was given none.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The replica's own queue.
    #[must_use]
    pub fn queue(&self) -> String {
        format!("parking.replica.{}", self.0)
    }
}

/// Declares the exchange. Both services do, so that either may start first.
///
/// # Errors
/// The broker is away, or has an exchange of this name with other properties.
pub async fn declare_events_exchange(channel: &Channel) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        passive: false,
        durable: true,      // it must be there after a restart of the broker
        auto_delete: false, // also while no queue is bound
        internal: false,
        nowait: false, // an exchange that differs must be noticed here
    };
    channel
        .exchange_declare(EVENTS_EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())
        .await
}

/// Declares the replica's queue and binds it to every type of event. Returns how many consume it.
///
/// # Errors
/// The broker is away, or has a queue of this name with other arguments (406, which names the argument).
pub async fn declare_replica_queue(channel: &Channel, replica: &ReplicaName) -> lapin::Result<u32> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: true,      // events wait in it while the consumer is away
        exclusive: false,   // a second consumer stands by
        auto_delete: false, // it outlives its consumers
        nowait: false,      // a queue that differs must be noticed here
    };
    let mut arguments = FieldTable::default();
    // Replicated, and on disk before the confirm; classic queues confirm before they sync.
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // One consumer at a time keeps the order nearly right, which saves work; nothing rests on it.
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    let queue = channel.queue_declare(replica.queue().into(), options, arguments).await?;
    for kind in EventType::ALL {
        channel
            .queue_bind(
                replica.queue().into(),
                EVENTS_EXCHANGE.into(),
                kind.as_str().into(),
                QueueBindOptions { nowait: false },
                FieldTable::default(),
            )
            .await?;
    }
    Ok(queue.consumer_count())
}

/// The most requests for a replay that wait. What is dropped is asked for again.
const REPLAY_QUEUE_MAX_REQUESTS: i64 = 1_000;

/// Declares the queue of requests for a replay. Both services do, so that either may start first.
///
/// # Errors
/// The broker is away, or has a queue of this name with other arguments.
pub async fn declare_replay_queue(channel: &Channel) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: true,      // requests wait in it while nobody relays
        exclusive: false,   // every process that relays answers
        auto_delete: false, // it outlives them
        nowait: false,      // a queue that differs must be noticed here
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(REPLAY_QUEUE_MAX_REQUESTS));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    // A request that ends every process that takes it must not come back for ever.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(20));
    channel.queue_declare(REPLAY_QUEUE.into(), options, arguments).await.map(|_| ())
}

/// Declares a queue of this connection's own for watermarks, and binds it. Returns its name, which the broker makes up.
/// It holds the newest watermark only, and goes with the connection.
///
/// # Errors
/// The broker is away.
pub async fn declare_watermark_queue(channel: &Channel) -> lapin::Result<ShortString> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: false,    // a watermark is of no use later
        exclusive: true,   // each process wants every one
        auto_delete: true, // nobody else would empty it
        nowait: false,     // the name comes with the answer
    };
    let mut arguments = FieldTable::default();
    // An older one says less than a newer one: they must not pile up while the replica is away.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    let queue = channel.queue_declare("".into(), options, arguments).await?;
    let name = queue.name().clone();
    bind_watermark_queue(channel, &name).await?;
    Ok(name)
}

/// Binds a queue for watermarks, which changes nothing if it is bound.
///
/// # Errors
/// The broker is away, or has no such queue.
pub async fn bind_watermark_queue(channel: &Channel, queue: &ShortString) -> lapin::Result<()> {
    let options = QueueBindOptions { nowait: false };
    channel
        .queue_bind(
            queue.clone(),
            EVENTS_EXCHANGE.into(),
            WATERMARK_KEY.into(),
            options,
            FieldTable::default(),
        )
        .await
}
