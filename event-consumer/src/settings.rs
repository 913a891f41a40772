//! The consumer's settings. [`SETTINGS`](shared::process::settings::SETTINGS) declares defaults and allowed values.

use std::net::IpAddr;

use serde::Deserialize;
use shared::{
    broker::{Broker, BrokerUrl, signing::SigningKey},
    postgres::DatabaseUrl,
    process::settings::{LevelFilter, LogFormat, SettingError, parsed, parsed_if_set, signing_keys},
    replica_name::ReplicaName,
};

/// All settings of the consumer, which does not connect to the primary.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database that the consumer owns.
    #[serde(rename = "REPLICA_DATABASE_URL", deserialize_with = "parsed")]
    pub replica: DatabaseUrl,
    /// The replica's name, which also names its queue.
    #[serde(rename = "PARKING__REPLICA__NAME", deserialize_with = "parsed")]
    pub replica_name: ReplicaName,
    /// The broker that delivers events.
    #[serde(rename = "RABBITMQ_BROKER_URL", deserialize_with = "parsed")]
    pub broker_url: BrokerUrl,
    /// The key with which messages are signed. Without one the broker is trusted.
    #[serde(rename = "PARKING__BROKER__SIGNING_KEY", deserialize_with = "parsed_if_set")]
    pub signing_key: Option<SigningKey>,
    /// Another key that is accepted, while keys are changed.
    #[serde(rename = "PARKING__BROKER__OTHER_SIGNING_KEY", deserialize_with = "parsed_if_set")]
    pub other_signing_key: Option<SigningKey>,
    /// The address of `/livez` and `/readyz`.
    #[serde(rename = "PARKING__HTTP__BIND")]
    pub bind: IpAddr,
    /// The port of `/livez` and `/readyz`; 0 takes a free one.
    #[serde(rename = "PARKING__CONSUMER__HTTP_PORT")]
    pub port: u16,
    /// The form of the logs.
    #[serde(rename = "PARKING__LOG__FORMAT")]
    pub log_format: LogFormat,
    /// The least severe lines that are logged.
    #[serde(rename = "PARKING__LOG__LEVEL", deserialize_with = "parsed")]
    pub log_level: LevelFilter,
}

impl Settings {
    /// The broker.
    ///
    /// # Errors
    /// A second key is set without a first.
    pub fn broker(&self) -> Result<Broker, SettingError> {
        let keys = signing_keys(self.signing_key.as_ref(), self.other_signing_key.as_ref())?;
        Ok(Broker { url: self.broker_url.clone(), keys })
    }
}
