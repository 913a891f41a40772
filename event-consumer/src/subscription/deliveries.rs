//! Messages taken from a queue and acknowledged.

use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use shared::broker::within_deadline;

use super::fault::SubscriptionError;

/// Messages that the broker sends ahead. Together with the largest message it bounds the memory: 64 x 128 KiB.
pub(super) const PREFETCH_MESSAGES: u16 = 64;

/// One watermark at a time: while it is not acknowledged, newer ones take each other's place in the queue.
pub(super) const PREFETCH_WATERMARKS: u16 = 1;

/// A batch is closed when it holds this many bytes, which is about 1,000 events; the message that reaches the bound
/// is still part of it.
const BATCH_MAX_BYTES: usize = 448 * 1024;

/// Begins to consume a queue.
pub(super) async fn consume_queue(
    channel: &Channel,
    queue: ShortString,
    tag: &str,
    prefetch: u16,
) -> Result<Consumer, SubscriptionError> {
    // Per consumer, not per channel: quorum queues know no other way.
    within_deadline(channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
    let options = BasicConsumeOptions {
        no_local: false,  // RabbitMQ does not know it
        no_ack: false,    // a message leaves the queue only after the replica's commit
        exclusive: false, // a second process stands by
        nowait: false,    // a queue that cannot be consumed must be noticed here
    };
    Ok(within_deadline(channel.basic_consume(queue, tag.into(), options, FieldTable::default())).await?)
}

/// What is ready without waiting, up to the bound.
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

/// One acknowledgement for the whole batch: it was taken from the channel in order.
pub(super) async fn acknowledge(deliveries: &[Delivery]) -> Result<(), SubscriptionError> {
    let Some(last) = deliveries.last() else {
        return Ok(());
    };
    let acknowledged = within_deadline(last.acker.ack(BasicAckOptions { multiple: true })).await?;
    if acknowledged { Ok(()) } else { Err(SubscriptionError::ChannelClosed) }
}
