//! The service's settings. [`SETTINGS`](shared::process::settings::SETTINGS) declares their defaults and bounds.

use std::net::IpAddr;

use serde::Deserialize;
use shared::{
    broker::{Broker, BrokerUrl, signing::SigningKey},
    postgres::DatabaseUrl,
    process::settings::{LevelFilter, LogFormat, SettingError, parsed, parsed_if_set, signing_keys},
};

use crate::{commands::queue::RESERVED_FOR_COMMIT, primary::connection::Primary};

pub(crate) const PRIMARY: &str = "DATABASE_URL";
pub(crate) const REPLICA: &str = "REPLICA_DATABASE_URL";
pub(crate) const BROKER: &str = "RABBITMQ_BROKER_URL";

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database of the write model. Each role or command that needs it asks for it.
    #[serde(rename = "DATABASE_URL", deserialize_with = "parsed_if_set")]
    pub primary: Option<DatabaseUrl>,
    /// The database that answers reads.
    #[serde(rename = "REPLICA_DATABASE_URL", deserialize_with = "parsed_if_set")]
    pub replica: Option<DatabaseUrl>,
    /// The broker that gets the events.
    #[serde(rename = "RABBITMQ_BROKER_URL", deserialize_with = "parsed_if_set")]
    pub broker_url: Option<BrokerUrl>,
    /// The key with which messages are signed. Without one the broker is trusted.
    #[serde(rename = "PARKING__BROKER__SIGNING_KEY", default, deserialize_with = "parsed_if_set")]
    pub signing_key: Option<SigningKey>,
    /// Another key that is accepted, while keys are changed.
    #[serde(rename = "PARKING__BROKER__OTHER_SIGNING_KEY", default, deserialize_with = "parsed_if_set")]
    pub other_signing_key: Option<SigningKey>,
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
    /// The URL of the primary, which `needed_by` cannot do without.
    ///
    /// # Errors
    /// It is not set.
    pub fn primary_url(&self, needed_by: &str) -> Result<&DatabaseUrl, SettingError> {
        self.primary.as_ref().ok_or_else(|| SettingError::not_set(PRIMARY, needed_by))
    }

    /// The URL of the replica, which `needed_by` cannot do without.
    ///
    /// # Errors
    /// It is not set.
    pub fn replica_url(&self, needed_by: &str) -> Result<&DatabaseUrl, SettingError> {
        self.replica.as_ref().ok_or_else(|| SettingError::not_set(REPLICA, needed_by))
    }

    /// The broker, which `needed_by` cannot do without.
    ///
    /// # Errors
    /// Its URL is not set, or a second key is set without a first.
    pub fn broker(&self, needed_by: &str) -> Result<Broker, SettingError> {
        let url = self.broker_url.clone().ok_or_else(|| SettingError::not_set(BROKER, needed_by))?;
        let keys = signing_keys(self.signing_key.as_ref(), self.other_signing_key.as_ref())?;
        Ok(Broker { url, keys })
    }

    /// The way to the primary for the command `needed_by`. It asks the replica, if one is set, whether the log is
    /// still the same.
    ///
    /// # Errors
    /// The URL of the primary is not set.
    pub fn primary(&self, needed_by: &str) -> Result<Primary, SettingError> {
        Ok(Primary::new(self.primary_url(needed_by)?.clone(), self.replica.clone()))
    }
}
