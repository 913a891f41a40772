//! Takes messages from a queue and acknowledges them.

use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use shared::broker::within_deadline;

use super::fault::SubscriptionError;

/// How many messages the broker sends ahead. With the largest message this bounds the memory: 64 x 128 KiB.
pub(super) const PREFETCH_MESSAGES: u16 = 64;

/// The broker sends one watermark at a time. Until it is acknowledged, each newer one replaces the last in the queue.
pub(super) const PREFETCH_WATERMARKS: u16 = 1;

/// A batch is full when it has this many bytes, about 1,000 events. The message that reaches the bound still belongs
/// to the batch.
const BATCH_MAX_BYTES: usize = 448 * 1024;

/// Starts to consume a queue.
pub(super) async fn consume_queue(
    channel: &Channel,
    queue: ShortString,
    tag: &str,
    prefetch: u16,
) -> Result<Consumer, SubscriptionError> {
    // Per consumer, not per channel: quorum queues support nothing else.
    within_deadline(channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
    let options = BasicConsumeOptions {
        no_local: false,  // RabbitMQ does not support it
        no_ack: false,    // a message leaves the queue only after the replica's commit
        exclusive: false, // a second process stands by
        nowait: false,    // a queue that cannot be consumed must be noticed here
    };
    Ok(within_deadline(channel.basic_consume(queue, tag.into(), options, FieldTable::default())).await?)
}

/// Takes the messages that are ready without waiting, up to the bounds of a batch.
pub(super) fn take_ready(
    first: Delivery,
    consumer: &mut Consumer,
) -> Result<Vec<Delivery>, SubscriptionError> {
    let mut bytes = first.data.len();
    let mut deliveries = vec![first];
    while bytes < BATCH_MAX_BYTES && deliveries.len() < usize::from(PREFETCH_MESSAGES) {
        match consumer.next().now_or_never() {
            None => break,
            Some(None) => return Err(SubscriptionError::Ended),
            Some(Some(delivery)) => {
                let delivery = delivery?;
                bytes += delivery.data.len();
                deliveries.push(delivery);
            }
        }
    }
    Ok(deliveries)
}

/// Acknowledges the last of these and everything before it on the channel, which was taken in order.
pub(super) async fn acknowledge(deliveries: &[&Delivery]) -> Result<(), SubscriptionError> {
    match deliveries.last() {
        Some(last) => acknowledge_up_to(last, true).await,
        None => Ok(()),
    }
}

/// Acknowledges each of these: others before them are kept.
pub(super) async fn acknowledge_each(deliveries: &[&Delivery]) -> Result<(), SubscriptionError> {
    for delivery in deliveries {
        acknowledge_up_to(delivery, false).await?;
    }
    Ok(())
}

async fn acknowledge_up_to(delivery: &Delivery, multiple: bool) -> Result<(), SubscriptionError> {
    let acknowledged = within_deadline(delivery.acker.ack(BasicAckOptions { multiple })).await?;
    if acknowledged { Ok(()) } else { Err(SubscriptionError::ChannelClosed) }
}
