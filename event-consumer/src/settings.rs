//! The consumer's settings. It knows no primary.

use std::net::IpAddr;

use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    process::settings::{self, Effective, LevelFilter, LogFormat, SettingError},
    replica_name::ReplicaName,
};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database that the consumer owns.
    pub replica: DatabaseUrl,
    /// Its name, which names its queue.
    pub replica_name: ReplicaName,
    /// Where events come from.
    pub broker: BrokerUrl,
    /// The address of `/livez` and `/readyz`.
    pub bind: IpAddr,
    /// Their port; 0 takes a free one.
    pub port: u16,
    /// The form of the logs.
    pub log_format: LogFormat,
    /// The least severe lines that are logged.
    pub log_level: LevelFilter,
    /// All of this for people's eyes: secrets hidden, each with its source.
    pub effective: Vec<Effective>,
}

impl Settings {
    /// Takes the settings from what was set. `log_level` is the default of this one setting: a command that ends says
    /// itself what went wrong.
    ///
    /// # Errors
    /// The first setting that is absent, wrong or unknown.
    pub fn read(mut from: settings::Settings, log_level: LevelFilter) -> Result<Self, SettingError> {
        let mut settings = Self {
            replica: from.database(settings::REPLICA_DATABASE_URL)?,
            replica_name: from.replica_name()?,
            broker: from.broker()?,
            bind: from.parsed(
                "PARKING__HTTP__BIND",
                IpAddr::from([127, 0, 0, 1]),
                "an IP address",
                |_| true,
            )?,
            port: from.parsed("PARKING__CONSUMER__HTTP_PORT", 8001, "a port", |_| true)?,
            log_format: from.log_format()?,
            log_level: from.log_level(log_level)?,
            effective: Vec::new(),
        };
        settings.effective = from.finish()?;
        Ok(settings)
    }
}
