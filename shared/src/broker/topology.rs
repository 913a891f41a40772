//! The broker's exchange and queues: every name and every option, with its reason.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{
    messages::event::EventType,
    replica_name::{Recipient, ReplicaName},
};

/// The topic exchange to which the relay publishes every event; the routing key is the event's type.
pub const EVENTS_EXCHANGE: &str = "parking.events";

/// The routing key under which watermarks are published.
pub const WATERMARK_KEY: &str = "parking.watermark";

/// The durable queue for the replay requests of replicas.
pub const REPLAY_QUEUE: &str = "parking.replay";

/// How often a message may return to its queue before the broker drops it. By default, brokers from 4.0 on
/// drop it after 20 returns. Each crash of a consumer counts for every message that it had in hand. The
/// consumer itself dead-letters a message that it cannot apply, so this limit only has to be finite.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// The most bytes that wait for a rebuild: three times what it may have asked for and what arrives meanwhile.
const REBUILD_QUEUE_MAX_BYTES: i64 = 64 * 1024 * 1024;

/// Declares the exchange. Both services do, so that either may start first.
///
/// # Errors
/// The broker is down, or has an exchange of this name with other properties.
pub async fn declare_events_exchange(channel: &Channel) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        passive: false,
        durable: true,      // it survives a restart of the broker
        auto_delete: false, // it stays while no queue is bound
        internal: false,
        nowait: false, // an exchange with other properties must fail here
    };
    channel
        .exchange_declare(EVENTS_EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())
        .await
}

/// Declares the recipient's queue and binds it to every type of event. Returns the number of its consumers.
///
/// # Errors
/// The broker is down. Or it has a queue of this name with other arguments (406, which names the argument).
/// Or the queue is exclusive to another connection (405).
pub async fn declare_events_queue(channel: &Channel, recipient: &Recipient) -> lapin::Result<u32> {
    let (options, arguments) = match recipient {
        Recipient::Replica(_) => replica_queue(),
        Recipient::Rebuild(_) => rebuild_queue(),
    };
    let name: ShortString = recipient.queue().into();
    let queue = channel.queue_declare(name.clone(), options, arguments).await?;
    for kind in EventType::ALL {
        channel
            .queue_bind(
                name.clone(),
                EVENTS_EXCHANGE.into(),
                kind.as_str().into(),
                QueueBindOptions { nowait: false },
                FieldTable::default(),
            )
            .await?;
    }
    Ok(queue.consumer_count())
}

fn replica_queue() -> (QueueDeclareOptions, FieldTable) {
    let options = QueueDeclareOptions {
        passive: false,
        durable: true,      // events wait in it while the consumer is down
        exclusive: false,   // a second consumer stands by
        auto_delete: false, // it outlives its consumers
        nowait: false,      // a queue with other arguments must fail here
    };
    let mut arguments = FieldTable::default();
    // Replicated, and on disk before the confirm; classic queues confirm before they sync.
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // One consumer at a time keeps the order nearly right, which saves work; correctness does not need it.
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    (options, arguments)
}

/// A queue that ends with its connection: a rebuild that is killed must not leave a queue that no consumer
/// empties.
fn rebuild_queue() -> (QueueDeclareOptions, FieldTable) {
    let options = QueueDeclareOptions {
        passive: false,
        durable: false,    // the rebuild asks again for what is lost with the broker
        exclusive: true,   // one rebuild at a time
        auto_delete: true, // no other consumer would empty it
        nowait: false,     // the queue of another rebuild must fail here
    };
    let mut arguments = FieldTable::default();
    // Reached only if the process stands still. Dropped events are missing positions, and the rebuild asks
    // for them again.
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(REBUILD_QUEUE_MAX_BYTES));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    (options, arguments)
}

/// Deletes the replica's queue with everything in it. The consumer declares the queue again, and asks for the
/// lost events again, as far as the log has them.
///
/// # Errors
/// The broker is down. An absent queue is no error.
pub async fn delete_replica_queue(channel: &Channel, replica: &ReplicaName) -> lapin::Result<()> {
    let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
    channel.queue_delete(replica.queue().into(), options).await.map(|_| ())
}

/// The most replay requests that wait. A replica repeats a dropped request.
const REPLAY_QUEUE_MAX_REQUESTS: i64 = 1_000;

/// Declares the queue of requests for a replay. Both services do, so that either may start first.
///
/// # Errors
/// The broker is down, or has a queue of this name with other arguments.
pub async fn declare_replay_queue(channel: &Channel) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: true,      // requests wait in it while no process relays
        exclusive: false,   // every process that relays answers
        auto_delete: false, // it outlives them
        nowait: false,      // a queue with other arguments must fail here
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(REPLAY_QUEUE_MAX_REQUESTS));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    // A request that crashes every process that takes it must not return for ever.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(20));
    channel.queue_declare(REPLAY_QUEUE.into(), options, arguments).await.map(|_| ())
}

/// Declares this connection's own queue for watermarks, and binds it. Returns its name, which the broker
/// makes up. The queue keeps only the newest watermark, and ends with the connection.
///
/// # Errors
/// The broker is down.
pub async fn declare_watermark_queue(channel: &Channel) -> lapin::Result<ShortString> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: false,    // a watermark is of no use later
        exclusive: true,   // each process needs every watermark
        auto_delete: true, // no other consumer would empty it
        nowait: false,     // the name comes with the answer
    };
    let mut arguments = FieldTable::default();
    // Watermarks must not pile up while the replica is down: the newest says more than all older ones.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    let queue = channel.queue_declare("".into(), options, arguments).await?;
    let name = queue.name().clone();
    bind_watermark_queue(channel, &name).await?;
    Ok(name)
}

/// Binds a queue for watermarks. Changes nothing if it is bound already.
///
/// # Errors
/// The broker is down, or has no such queue.
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
