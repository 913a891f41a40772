//! The service's settings. [`SETTINGS`](shared::process::settings::SETTINGS) declares their defaults and bounds.

use std::net::IpAddr;

use serde::Deserialize;
use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    process::settings::{LevelFilter, LogFormat, parsed},
};

use crate::{commands::queue::RESERVED_FOR_COMMIT, primary::connection::Primary};

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database of the write model.
    #[serde(rename = "DATABASE_URL", deserialize_with = "parsed")]
    pub primary: DatabaseUrl,
    /// The database that answers reads.
    #[serde(rename = "REPLICA_DATABASE_URL", deserialize_with = "parsed")]
    pub replica: DatabaseUrl,
    /// The broker that gets the events.
    #[serde(rename = "RABBITMQ_BROKER_URL", deserialize_with = "parsed")]
    pub broker: BrokerUrl,
    /// The address to listen on.
    #[serde(rename = "PARKING__HTTP__BIND")]
    pub bind: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[serde(rename = "PARKING__HTTP__PORT")]
    pub port: u16,
    /// The threads that parse requests; 1 is enough for two cores: PostgreSQL needs the other.
    #[serde(rename = "PARKING__HTTP__WORKERS")]
    pub http_workers: usize,
    /// The time of a command from request to answer.
    #[serde(rename = "PARKING__HTTP__COMMAND_DEADLINE_MS")]
    pub command_deadline_ms: u64,
    /// How long a connection may stay idle. A proxy in front must close its own earlier, or it answers 502.
    #[serde(rename = "PARKING__HTTP__KEEP_ALIVE_S")]
    pub keep_alive_s: u64,
    /// How many commands may wait; one more is refused.
    #[serde(rename = "PARKING__COMMIT__QUEUE_LIMIT")]
    pub commit_queue_limit: usize,
    /// How many reads may wait for a fresher replica; one more is refused.
    #[serde(rename = "PARKING__FRESHNESS__MAX_WAITERS")]
    pub freshness_max_waiters: usize,
    /// The format of the logs.
    #[serde(rename = "PARKING__LOG__FORMAT")]
    pub log_format: LogFormat,
    /// The lowest severity that is logged.
    #[serde(rename = "PARKING__LOG__LEVEL", deserialize_with = "parsed")]
    pub log_level: LevelFilter,
}

/// The shortest `PARKING__HTTP__COMMAND_DEADLINE_MS` leaves half a second before the commit.
const _: () = assert!(RESERVED_FOR_COMMIT.as_millis() + 500 == 4_500);

impl Settings {
    /// The connection to the primary, for every part of this process.
    #[must_use]
    pub fn primary(&self) -> Primary {
        Primary::new(self.primary.clone(), self.replica.clone())
    }
}
