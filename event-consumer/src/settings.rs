//! The consumer's settings. [`SETTINGS`](shared::process::settings::SETTINGS) declares defaults and allowed values.

use std::net::IpAddr;

use serde::Deserialize;
use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    process::settings::{LevelFilter, LogFormat, parsed},
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
    pub broker: BrokerUrl,
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
