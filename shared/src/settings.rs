//! Settings from the environment. Every setting that a service knows is asked for by name; what is left over and
//! looks like a setting is an error, so that a misspelt one is not silently without effect.

use std::{collections::BTreeMap, fmt, str::FromStr};

pub use tracing_subscriber::filter::LevelFilter;

use crate::{broker::BrokerUrl, postgres::DatabaseUrl, topology::ReplicaName};

/// What the names of most settings begin with.
const PREFIX: &str = "PARKING__";

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// A setting that stops the start. The value is not shown: it may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    /// The setting's name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The environment's settings, taken one by one.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<String, String>,
    asked: Vec<&'static str>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("names", &self.values.keys()).finish()
    }
}

impl Settings {
    /// The process's own environment.
    ///
    /// # Errors
    /// A variable of ours is not UTF-8.
    pub fn from_environment() -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            if !name.starts_with(PREFIX) && !URLS.contains(&name) {
                continue;
            }
            let value = value.into_string().map_err(|_| error(name, "is not UTF-8"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self::from_pairs(values))
    }

    /// Settings given by name; for tests.
    #[must_use]
    pub fn from_pairs(values: BTreeMap<String, String>) -> Self {
        Self { values, asked: Vec::new() }
    }

    /// The setting's text, if it is set.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        self.values.get(name).cloned()
    }

    /// A setting with a default; `expected` completes the sentence "must be ...".
    ///
    /// # Errors
    /// It is set to something else.
    pub fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T, SettingError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().ok().filter(fits).ok_or_else(|| error(name, &format!("must be {expected}")))
            }
        }
    }

    /// The URL of a database.
    ///
    /// # Errors
    /// It is absent or not a URL.
    pub fn database(&mut self, name: &'static str) -> Result<DatabaseUrl, SettingError> {
        let text = self.text(name).ok_or_else(|| error(name, "must be set"))?;
        DatabaseUrl::parse(&text)
            .ok_or_else(|| error(name, "must be a URL such as postgres://user:password@host:5432/name"))
    }

    /// The URL of the broker.
    ///
    /// # Errors
    /// It is absent or not a URL.
    pub fn broker(&mut self) -> Result<BrokerUrl, SettingError> {
        let text = self.text(BROKER_URL).ok_or_else(|| error(BROKER_URL, "must be set"))?;
        BrokerUrl::parse(&text)
            .ok_or_else(|| error(BROKER_URL, "must be a URL such as amqp://user:password@host:5672/%2f"))
    }

    /// The replica's name; `main` unless set.
    ///
    /// # Errors
    /// It is not `[a-z0-9_-]{1,40}`.
    pub fn replica_name(&mut self) -> Result<ReplicaName, SettingError> {
        const NAME: &str = "PARKING__REPLICA__NAME";
        let text = self.text(NAME).unwrap_or_else(|| "main".to_owned());
        ReplicaName::parse(&text).ok_or_else(|| error(NAME, "must be 1 to 40 of a-z, 0-9, _ and -"))
    }

    /// The form of the logs, and their level if it is set.
    ///
    /// # Errors
    /// One of them is set to something else.
    pub fn log(&mut self) -> Result<(LogFormat, Option<LevelFilter>), SettingError> {
        let format = self.parsed("PARKING__LOG__FORMAT", LogFormat::Text, "text or json", |_| true)?;
        let levels = "off, error, warn, info, debug or trace";
        let level = match self.text("PARKING__LOG__LEVEL") {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| error("PARKING__LOG__LEVEL", &format!("must be {levels}")))?)
            }
        };
        Ok((format, level))
    }

    /// To be called last: whatever has our prefix and nobody asked for is a mistake, unless the other service knows it.
    ///
    /// # Errors
    /// The first such name.
    pub fn finish(self) -> Result<(), SettingError> {
        for name in self.values.keys() {
            let known = self.asked.contains(&name.as_str()) || KNOWN_TO_EITHER.contains(&name.as_str());
            if !known {
                return Err(error(name, "is not a setting"));
            }
        }
        Ok(())
    }
}

/// The URL of the primary.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The URL of the replica.
pub const REPLICA_DATABASE_URL: &str = "REPLICA_DATABASE_URL";
/// The URL of the broker.
pub const BROKER_URL: &str = "RABBITMQ_BROKER_URL";

const URLS: [&str; 3] = [DATABASE_URL, REPLICA_DATABASE_URL, BROKER_URL];

/// One environment may serve both services, so each lets the other's settings pass.
const KNOWN_TO_EITHER: [&str; 11] = [
    DATABASE_URL,
    REPLICA_DATABASE_URL,
    BROKER_URL,
    "PARKING__HTTP__BIND",
    "PARKING__HTTP__PORT",
    "PARKING__HTTP__WORKERS",
    "PARKING__HTTP__COMMAND_DEADLINE_MS",
    "PARKING__CONSUMER__HTTP_PORT",
    "PARKING__REPLICA__NAME",
    "PARKING__COMMIT__QUEUE_LIMIT",
    "PARKING__LOG__FORMAT",
];

fn error(name: &str, problem: &str) -> SettingError {
    SettingError { name: name.to_owned(), problem: problem.to_owned() }
}
