//! The service's settings. [`SETTINGS`](shared::process::settings::SETTINGS) declares their defaults and what they may be.

use std::net::IpAddr;

use serde::Deserialize;
use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    process::settings::{LevelFilter, LogFormat, parsed},
};

use crate::{commands::queue::RESERVED_FOR_COMMIT, primary::connection::Primary};

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database that commands are committed to.
    #[serde(rename = "DATABASE_URL", deserialize_with = "parsed")]
    pub primary: DatabaseUrl,
    /// The database that reads are answered from.
    #[serde(rename = "REPLICA_DATABASE_URL", deserialize_with = "parsed")]
    pub replica: DatabaseUrl,
    /// Where events go.
    #[serde(rename = "RABBITMQ_BROKER_URL", deserialize_with = "parsed")]
    pub broker: BrokerUrl,
    /// The address to listen on.
    #[serde(rename = "PARKING__HTTP__BIND")]
    pub bind: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[serde(rename = "PARKING__HTTP__PORT")]
    pub port: u16,
    /// The threads that parse requests; one is enough for two cores, since PostgreSQL needs the other.
    #[serde(rename = "PARKING__HTTP__WORKERS")]
    pub http_workers: usize,
    /// How long a command may take from the request to the answer.
    #[serde(rename = "PARKING__HTTP__COMMAND_DEADLINE_MS")]
    pub command_deadline_ms: u64,
    /// How long a connection may stay idle. A proxy in front closes its own connections earlier, or it answers 502.
    #[serde(rename = "PARKING__HTTP__KEEP_ALIVE_S")]
    pub keep_alive_s: u64,
    /// How many commands may wait; one more is refused.
    #[serde(rename = "PARKING__COMMIT__QUEUE_LIMIT")]
    pub commit_queue_limit: usize,
    /// How many reads may wait for a fresher replica; one more is refused.
    #[serde(rename = "PARKING__FRESHNESS__MAX_WAITERS")]
    pub freshness_max_waiters: usize,
    /// The form of the logs.
    #[serde(rename = "PARKING__LOG__FORMAT")]
    pub log_format: LogFormat,
    /// The least severe lines that are logged.
    #[serde(rename = "PARKING__LOG__LEVEL", deserialize_with = "parsed")]
    pub log_level: LevelFilter,
}

/// The shortest `PARKING__HTTP__COMMAND_DEADLINE_MS` leaves half a second before the commit.
const _: () = assert!(RESERVED_FOR_COMMIT.as_millis() + 500 == 4_500);

impl Settings {
    /// The way to the primary, for everything in this process that works with it.
    #[must_use]
    pub fn primary(&self) -> Primary {
        Primary::new(self.primary.clone(), self.replica.clone())
    }
}
