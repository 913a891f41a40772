//! One virtual host of a test: exchange and queues of its own on a broker that others use too.

use anyhow::{Context, Result, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use stack::RabbitMq;

/// A virtual host and the broker it is on.
#[derive(Debug)]
pub struct VirtualHost {
    /// The broker.
    pub broker: RabbitMq,
    /// The virtual host's name.
    pub name: String,
    http: reqwest::Client,
}

impl VirtualHost {
    /// Makes the virtual host `name`, open to the user of the broker's address.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn create(broker: RabbitMq, name: String) -> Result<Self> {
        let host = Self { broker, name, http: reqwest::Client::new() };
        host.make().await?;
        Ok(host)
    }

    async fn make(&self) -> Result<()> {
        self.put(&format!("vhosts/{}", self.name), &json!({})).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.put(&format!("permissions/{}/{}", self.name, self.broker.user()), &all).await
    }

    /// Removes the virtual host and makes it anew: everything in it is lost, as when a broker's data is wiped.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn wipe(&self) -> Result<()> {
        self.delete().await?;
        self.make().await
    }

    /// A channel of the test's own, past the proxies, on which publishing is confirmed. It ends with the connection.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn channel(&self) -> Result<(Connection, Channel)> {
        let url = self.broker.amqp_url(&self.name);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
        Ok((connection, channel))
    }

    /// Makes a user who may do everything in this virtual host and nothing beyond.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn add_user(&self, name: &str, password: &str) -> Result<()> {
        self.put(&format!("users/{name}"), &json!({ "password": password, "tags": "" })).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.put(&format!("permissions/{}/{name}", self.name), &all).await
    }

    /// The address of this virtual host by way of a proxy on `port`.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let direct = self.broker.amqp_url(&self.name);
        let own = format!(":{}/", self.broker.ports().amqp);
        direct.replacen(&own, &format!(":{port}/"), 1)
    }

    /// Removes the virtual host with everything in it.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn delete(&self) -> Result<()> {
        let request = self.http.delete(self.api(&format!("vhosts/{}", self.name)));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// What the management API says of `path`, which follows `/api/`.
    ///
    /// # Errors
    /// There is no such thing, or the broker does not answer.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let response = self.http.get(self.api(path)).send().await?.error_for_status()?;
        Ok(response.json().await?)
    }

    async fn put(&self, path: &str, body: &Value) -> Result<()> {
        let request = self.http.put(self.api(path)).json(body);
        request.send().await?.error_for_status().with_context(|| format!("cannot make {path}"))?;
        Ok(())
    }

    fn api(&self, path: &str) -> String {
        format!("{}api/{path}", self.broker.management_url())
    }
}

/// A message as it was in a queue.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The body.
    pub body: Vec<u8>,
    /// All the rest.
    pub properties: BasicProperties,
}

/// Publishes a message, and waits until some queue has it. An empty exchange takes the key for a queue's name.
///
/// # Errors
/// The broker is down, or no queue takes it.
pub async fn publish(channel: &Channel, exchange: &str, key: &str, message: &Message) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = message.properties.clone();
    let sent = channel.basic_publish(exchange.into(), key.into(), options, &message.body, properties).await?;
    let confirmation = sent.await?;
    ensure!(
        matches!(confirmation, lapin::Confirmation::Ack(None)),
        "the broker did not take a message: {confirmation:?}"
    );
    Ok(())
}

/// Takes a message out of a queue, if there is one.
///
/// # Errors
/// The broker is down, or has no such queue.
pub async fn take(channel: &Channel, queue: &str) -> Result<Option<Message>> {
    let taken = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await?;
    Ok(taken.map(|message| Message { body: message.delivery.data, properties: message.delivery.properties }))
}

/// How many messages wait in a queue, without those that a consumer holds.
///
/// # Errors
/// The broker is down, or has no such queue.
pub async fn waiting_in(channel: &Channel, queue: &str) -> Result<u32> {
    let look = QueueDeclareOptions {
        passive: true,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
    };
    Ok(channel.queue_declare(queue.into(), look, FieldTable::default()).await?.message_count())
}
