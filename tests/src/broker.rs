//! One virtual host of a test: exchange and queues of its own on a broker that others use too.

use anyhow::{Context, Result};
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
        let user = host.broker.user().to_owned();
        host.put(&format!("vhosts/{}", host.name), &json!({})).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        host.put(&format!("permissions/{}/{user}", host.name), &all).await?;
        Ok(host)
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
