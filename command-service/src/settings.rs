//! The service's settings.

use std::{net::IpAddr, time::Duration};

use shared::{
    broker::BrokerUrl,
    postgres::DatabaseUrl,
    process::settings::{self, Effective, LevelFilter, LogFormat, SettingError},
};

use crate::{commands::queue::RESERVED_FOR_COMMIT, primary::connection::Primary};

/// Where the service listens.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The address.
    pub bind: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The threads that parse requests; one is enough for two cores, since PostgreSQL needs the other.
    pub workers: usize,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database that commands are committed to.
    pub primary: DatabaseUrl,
    /// The database that reads are answered from.
    pub replica: DatabaseUrl,
    /// Where events go.
    pub broker: BrokerUrl,
    /// Where the service listens.
    pub http: HttpSettings,
    /// How long a command may take from asking to answer.
    pub command_deadline: Duration,
    /// How many commands may wait; one more is refused.
    pub commit_queue_limit: usize,
    /// How many reads may wait for a fresher replica; one more is refused.
    pub freshness_max_waiters: usize,
    /// The form of the logs.
    pub log_format: LogFormat,
    /// The least severe lines that are logged.
    pub log_level: LevelFilter,
    /// All of this for people's eyes: secrets hidden, each with its source.
    pub effective: Vec<Effective>,
}

impl Settings {
    /// The way to the primary, for everything in this process that works with it.
    #[must_use]
    pub fn primary(&self) -> Primary {
        Primary::new(self.primary.clone(), self.replica.clone())
    }

    /// Takes the settings from what was set. `log_level` is the default of this one setting: a command that ends says
    /// itself what went wrong.
    ///
    /// # Errors
    /// The first setting that is absent, wrong or unknown.
    pub fn read(mut from: settings::Settings, log_level: LevelFilter) -> Result<Self, SettingError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shortest_deadline = u64::try_from(RESERVED_FOR_COMMIT.as_millis()).unwrap_or(u64::MAX);
        let mut settings = Self {
            primary: from.database(settings::DATABASE_URL)?,
            replica: from.database(settings::REPLICA_DATABASE_URL)?,
            broker: from.broker()?,
            http: HttpSettings {
                bind: from.parsed(
                    "PARKING__HTTP__BIND",
                    IpAddr::from([127, 0, 0, 1]),
                    "an IP address",
                    |_| true,
                )?,
                port: from.parsed("PARKING__HTTP__PORT", 8000, "a port", |_| true)?,
                workers: from.parsed(
                    "PARKING__HTTP__WORKERS",
                    cores.div_ceil(2),
                    "from 1 to 64",
                    |workers| (1..=64).contains(workers),
                )?,
            },
            command_deadline: Duration::from_millis(from.parsed(
                "PARKING__HTTP__COMMAND_DEADLINE_MS",
                10_000,
                "from 4500 to 60000",
                |ms| (shortest_deadline + 500..=60_000).contains(ms),
            )?),
            commit_queue_limit: from.parsed(
                "PARKING__COMMIT__QUEUE_LIMIT",
                4096,
                "from 1 to 65536",
                |limit| (1..=65_536).contains(limit),
            )?,
            freshness_max_waiters: from.parsed(
                "PARKING__FRESHNESS__MAX_WAITERS",
                4096,
                "from 1 to 65536",
                |limit| (1..=65_536).contains(limit),
            )?,
            log_format: from.log_format()?,
            log_level: from.log_level(log_level)?,
            effective: Vec::new(),
        };
        settings.effective = from.finish()?;
        Ok(settings)
    }
}
