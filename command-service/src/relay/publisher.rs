//! The only publisher, on a connection of its own. A broker short of memory or disk blocks connections that
//! publish; this must not block the consumer's connection.

use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use shared::{
    broker::{
        Broker, BrokerError, PERSISTENT,
        signing::SigningKeys,
        topology::{EVENTS_EXCHANGE, WATERMARK_KEY, declare_events_exchange},
        within_deadline,
    },
    messages::{
        repair::{REPAIR_CONTENT_TYPE, REPAIR_TYPE},
        watermark::{WATERMARK_CONTENT_TYPE, Watermark},
        wire::BATCH_CONTENT_TYPE,
    },
    replica_name::{Recipient, ReplicaName},
};
use tokio::time::timeout;

use super::messages::Message;

/// How long the broker may take to confirm all messages of one call.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(10);

/// The publisher's name in messages.
const APP_ID: &str = "command-service";

/// Why messages were not confirmed. The caller publishes all of them again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The connection or the channel failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The broker did not confirm in time, for instance because an alarm blocks the connection.
    #[error("the broker did not confirm in time")]
    Deadline,
    /// No queue is bound for such messages.
    #[error("no replica's queue is bound yet")]
    Unroutable,
    /// The broker could not store a message.
    #[error("the broker refused a message")]
    Refused,
}

/// The recipients of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every replica that has a queue.
    EveryReplica,
    /// One recipient, which has asked.
    One(Recipient),
}

/// A connection with a channel in confirm mode.
pub struct Publisher {
    connection: Connection,
    channel: Channel,
    keys: SigningKeys,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Connects under the name of a step, and declares the exchange.
    ///
    /// # Errors
    /// The broker is down.
    pub async fn open(broker: &Broker, step: &str) -> Result<Self, BrokerError> {
        let connection = broker.url.connect(step).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        within_deadline(declare_events_exchange(&channel)).await?;
        within_deadline(channel.confirm_select(ConfirmSelectOptions { nowait: false })).await?;
        Ok(Self { connection, channel, keys: broker.keys.clone() })
    }

    /// Whether the connection and the channel are open, as last known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Publishes and awaits the confirm of each message.
    ///
    /// # Errors
    /// [`PublishError`]: at least one was not confirmed. After a failed connection the publisher is useless.
    pub async fn publish(&self, messages: &[Message], to: &Destination) -> Result<(), PublishError> {
        let confirmations = timeout(CONFIRM_DEADLINE, async {
            let sent = try_join_all(messages.iter().map(|message| self.send(message, to))).await?;
            try_join_all(sent).await
        })
        .await
        .map_err(|_| PublishError::Deadline)?
        .map_err(BrokerError::from)?;
        confirmations.into_iter().try_for_each(check)
    }

    async fn send(&self, message: &Message, to: &Destination) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions {
            mandatory: true,  // a message that no queue takes must come back, or it would be lost
            immediate: false, // RabbitMQ does not support it
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(BATCH_CONTENT_TYPE.into())
            .with_message_id(message.id().into())
            .with_type(message.kind.as_str().into())
            .with_app_id(APP_ID.into());
        let (exchange, key): (ShortString, ShortString) = match to {
            Destination::EveryReplica => (EVENTS_EXCHANGE.into(), message.kind.as_str().into()),
            Destination::One(recipient) => ("".into(), recipient.queue().into()),
        };
        let properties = self.keys.sign(properties, key.as_str(), &message.body);
        self.channel.basic_publish(exchange, key, options, &message.body, properties).await
    }

    /// Publishes repairs to one replica and awaits the confirm of each.
    ///
    /// # Errors
    /// [`PublishError`]: at least one was not confirmed. Sending it again does no harm.
    pub async fn publish_repairs(&self, bodies: &[Vec<u8>], to: &ReplicaName) -> Result<(), PublishError> {
        let options = BasicPublishOptions {
            mandatory: true,  // the caller must learn that there is no such replica
            immediate: false, // RabbitMQ does not support it
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(REPAIR_CONTENT_TYPE.into())
            .with_type(REPAIR_TYPE.into())
            .with_app_id(APP_ID.into());
        let queue = to.queue();
        let send = |body| {
            let properties = self.keys.sign(properties.clone(), &queue, body);
            self.channel.basic_publish("".into(), queue.as_str().into(), options, body, properties)
        };
        let confirmations = timeout(CONFIRM_DEADLINE, async {
            let sent = try_join_all(bodies.iter().map(|body| send(body))).await?;
            try_join_all(sent).await
        })
        .await
        .map_err(|_| PublishError::Deadline)?
        .map_err(BrokerError::from)?;
        confirmations.into_iter().try_for_each(check)
    }

    /// Publishes a watermark and awaits its confirm. No queue need be bound for it.
    ///
    /// # Errors
    /// [`PublishError`]; the next watermark replaces this one.
    pub async fn publish_watermark(&self, watermark: &Watermark) -> Result<(), PublishError> {
        let options = BasicPublishOptions { mandatory: false, immediate: false };
        let properties = BasicProperties::default()
            .with_content_type(WATERMARK_CONTENT_TYPE.into())
            .with_type(WATERMARK_KEY.into())
            .with_app_id(APP_ID.into());
        let body = watermark.encode();
        let confirmation = timeout(CONFIRM_DEADLINE, async {
            let properties = self.keys.sign(properties, WATERMARK_KEY, &body);
            let (exchange, key) = (EVENTS_EXCHANGE.into(), WATERMARK_KEY.into());
            self.channel.basic_publish(exchange, key, options, &body, properties).await?.await
        })
        .await
        .map_err(|_| PublishError::Deadline)?
        .map_err(BrokerError::from)?;
        check(confirmation)
    }

    /// Closes the connection, within a bound.
    pub async fn close(self) {
        let _ = within_deadline(self.connection.close(200, "done".into())).await;
    }
}

/// The broker may attach a returned message to the confirm of another message. It does not matter to which:
/// after any return, the caller publishes all of them again.
fn check(confirmation: Confirmation) -> Result<(), PublishError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Unroutable),
        Confirmation::Nack(None) | Confirmation::NotRequested => Err(PublishError::Refused),
    }
}
