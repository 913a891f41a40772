//! The consumer's settings. It knows no primary.

use std::net::IpAddr;

use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    settings::{self, LevelFilter, LogFormat, SettingError},
    topology::ReplicaName,
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
    /// The least severe lines that are logged, if set.
    pub log_level: Option<LevelFilter>,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first setting that is absent, wrong or unknown.
    pub fn read(mut from: settings::Settings) -> Result<Self, SettingError> {
        let (log_format, log_level) = from.log()?;
        let settings = Self {
            replica: from.database(settings::REPLICA_DATABASE_URL)?,
            replica_name: from.replica_name()?,
            broker: from.broker()?,
            bind: from.parsed("PARKING__HTTP__BIND", [127, 0, 0, 1].into(), "an IP address", |_| true)?,
            port: from.parsed("PARKING__CONSUMER__HTTP_PORT", 8001, "a port", |_| true)?,
            log_format,
            log_level,
        };
        from.finish()?;
        Ok(settings)
    }
}
