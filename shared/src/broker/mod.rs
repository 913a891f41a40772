//! A connection to RabbitMQ. A step drops its connection on any error and opens another one here, so that every
//! recovery takes the same path. lapin's own recovery is unused.

pub mod signing;
pub mod topology;

use std::{str::FromStr, time::Duration};

use lapin::{
    Connection, ConnectionProperties,
    protocol::AMQPError,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;

use self::signing::SigningKeys;

/// How long connecting may take, handshake included. lapin itself waits for ever on a broker that accepts the
/// connection and stays silent.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long one request on a channel (declare, bind, qos, close) may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// The delivery mode of messages that survive a restart of the broker.
pub const PERSISTENT: u8 = 2;

/// The heartbeat in seconds; a connection silent for twice that is dead.
const HEARTBEAT_SECS: u16 = 10;

/// The broker's URL with its password; never shown.
#[derive(Clone)]
pub struct BrokerUrl(AMQPUri);

impl std::fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrokerUrl([hidden])")
    }
}

/// How a service reaches the broker, and what it trusts there.
#[derive(Clone, Debug)]
pub struct Broker {
    /// The way to it.
    pub url: BrokerUrl,
    /// The keys of this service's messages.
    pub keys: SigningKeys,
}

/// Why a text is no broker URL. Does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// It is no AMQP URL.
    #[error("must be a URL such as amqp://user:password@host:5672/%2f")]
    Malformed,
    /// It demands TLS.
    #[error("TLS is not supported by this build: the URL must begin with amqp://")]
    Tls,
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        Self::parse(text)
    }
}

/// Why there is no connection. Holds no address and no password.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker did not answer within the deadline.
    #[error("the broker did not answer in time")]
    Deadline,
    /// The broker or the network refused.
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
}

impl BrokerUrl {
    /// Parses the URL, and adds a heartbeat unless it names one.
    ///
    /// # Errors
    /// [`BrokerUrlError`]: lapin accepts `amqps://` without TLS compiled in, and would connect in clear.
    pub fn parse(text: &str) -> Result<Self, BrokerUrlError> {
        let mut uri: AMQPUri = text.parse().map_err(|_| BrokerUrlError::Malformed)?;
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(BrokerUrlError::Tls);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self(uri))
    }

    /// Opens a connection that the broker lists as `step`.
    ///
    /// Call it on the main runtime: the connection's tasks stay on it.
    ///
    /// # Errors
    /// [`BrokerError`], at the latest after [`CONNECT_DEADLINE`].
    pub async fn connect(&self, step: &str) -> Result<Connection, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(step.into());
        Ok(timeout(CONNECT_DEADLINE, Connection::connect_uri(self.0.clone(), properties))
            .await
            .map_err(|_| BrokerError::Deadline)??)
    }
}

/// The broker's own words in a protocol error, without lapin's prefix.
#[must_use]
pub fn said_by_broker<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e str> {
    error.downcast_ref::<AMQPError>().map(|error| error.get_message().as_str())
}

/// Bounds one request on a channel by [`REQUEST_DEADLINE`].
///
/// # Errors
/// [`BrokerError::Deadline`], or what the request itself reports.
pub async fn within_deadline<T>(request: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    Ok(timeout(REQUEST_DEADLINE, request).await.map_err(|_| BrokerError::Deadline)??)
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPErrorKind, AMQPHardError};

    use super::*;

    #[test]
    fn the_brokers_own_words_are_found_in_its_error() {
        let kind = AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED);
        let error = AMQPError::new(kind, "NOT_ALLOWED - vhost x not found".into());

        assert_eq!(said_by_broker(&error), Some("NOT_ALLOWED - vhost x not found"));
        assert_eq!(said_by_broker(&BrokerError::Deadline), None);
    }
}
