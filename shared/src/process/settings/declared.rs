//! Every setting of both services: its name, the services that read it, its default and its bounds.

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive, str::FromStr, sync::LazyLock, thread};

use tracing_subscriber::filter::LevelFilter;

use self::Service::{CommandService, EventConsumer};
use crate::{
    broker::{BrokerUrl, signing::SigningKey},
    postgres::DatabaseUrl,
    replica_name::ReplicaName,
};

/// The prefix of settings that belong to a section.
pub(super) const PREFIX: &str = "PARKING__";

/// The lowest severity that is logged.
pub const LOG_LEVEL: &str = "PARKING__LOG__LEVEL";

/// Another key that is accepted.
pub(super) const OTHER_SIGNING_KEY: &str = "PARKING__BROKER__OTHER_SIGNING_KEY";

/// A service that reads settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// command-service.
    CommandService,
    /// event-consumer.
    EventConsumer,
}

const COMMANDS: &[Service] = &[CommandService];
const CONSUMER: &[Service] = &[EventConsumer];
const BOTH: &[Service] = &[CommandService, EventConsumer];

/// All settings. The services share them, so that each knows the other's in a common environment.
pub static SETTINGS: LazyLock<[Setting; 16]> = LazyLock::new(|| {
    // PostgreSQL needs the other half.
    let half_the_cores = thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(64);
    let is_format = |word: &String| ["text", "json"].contains(&word.as_str());
    let replica = "1 to 40 of a-z, 0-9, _ and -";
    let levels = "off, error, warn, info, debug or trace";
    [
        url::<DatabaseUrl>("DATABASE_URL", COMMANDS),
        url::<DatabaseUrl>("REPLICA_DATABASE_URL", BOTH),
        url::<BrokerUrl>("RABBITMQ_BROKER_URL", BOTH),
        secret::<SigningKey>("PARKING__BROKER__SIGNING_KEY", BOTH, "32 to 512 bytes of visible ASCII"),
        secret::<SigningKey>(OTHER_SIGNING_KEY, BOTH, "32 to 512 bytes of visible ASCII"),
        setting::<IpAddr>("PARKING__HTTP__BIND", BOTH, "127.0.0.1", "an IP address", |_| true),
        number("PARKING__HTTP__PORT", COMMANDS, 8000, 0..=65_535),
        number("PARKING__HTTP__WORKERS", COMMANDS, half_the_cores, 1..=64),
        number("PARKING__HTTP__COMMAND_DEADLINE_MS", COMMANDS, 10_000, 4_500..=60_000),
        number("PARKING__HTTP__KEEP_ALIVE_S", COMMANDS, 75, 1..=3_600),
        number("PARKING__COMMIT__QUEUE_LIMIT", COMMANDS, 4_096, 1..=65_536),
        number("PARKING__FRESHNESS__MAX_WAITERS", COMMANDS, 4_096, 1..=65_536),
        number("PARKING__CONSUMER__HTTP_PORT", CONSUMER, 8001, 0..=65_535),
        setting::<ReplicaName>("PARKING__REPLICA__NAME", CONSUMER, "main", replica, |_| true),
        setting::<String>("PARKING__LOG__FORMAT", BOTH, "text", "text or json", is_format),
        setting::<LevelFilter>(LOG_LEVEL, BOTH, "info", levels, |_| true),
    ]
});

/// The declaration of a setting.
pub struct Setting {
    /// The name of its variable.
    pub name: &'static str,
    /// The services that read it. The others ignore it.
    pub read_by: &'static [Service],
    /// The services that do not start without it. command-service needs a URL only for some roles and commands, and
    /// asks for it there.
    pub required_by: &'static [Service],
    /// Its default. Without a default or a value it is not set.
    pub default: Option<String>,
    /// The values allowed.
    pub allowed: String,
    shown: Box<Shown>,
}

/// Checks a value, and returns what `settings` shows of it, or the problem with it.
type Shown = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// A setting that stops the start. Hides the value, which may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    /// The name of the wrong setting, variable or argument.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SettingError {
    pub(super) fn new(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into() }
    }

    /// The setting `name` is not set, and `needed_by` needs it: a command or a role.
    #[must_use]
    pub fn not_set(name: &str, needed_by: &str) -> Self {
        Self::new(name, format!("must be set for {needed_by}"))
    }
}

impl Setting {
    /// The setting with this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Checks this value; returns what `settings` shows of it.
    pub(super) fn shown(&self, text: &str) -> Result<String, SettingError> {
        (self.shown)(text).map_err(|problem| SettingError::new(self.name, problem))
    }
}

/// A URL that holds a password.
fn url<T: FromStr<Err: Display>>(name: &'static str, read_by: &'static [Service]) -> Setting {
    // event-consumer needs all that it reads.
    let required_by = if read_by.contains(&EventConsumer) { CONSUMER } else { &[] };
    Setting { required_by, ..secret::<T>(name, read_by, "a URL") }
}

/// A setting without a default, whose value is never shown.
fn secret<T: FromStr<Err: Display>>(
    name: &'static str,
    read_by: &'static [Service],
    allowed: &str,
) -> Setting {
    let shown = |text: &str| match text.parse::<T>() {
        Ok(_) => Ok("[hidden]".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let allowed = allowed.to_owned();
    Setting { name, read_by, required_by: &[], default: None, allowed, shown: Box::new(shown) }
}

fn number(
    name: &'static str,
    read_by: &'static [Service],
    default: usize,
    range: RangeInclusive<usize>,
) -> Setting {
    let allowed = format!("from {} to {}", range.start(), range.end());
    setting(name, read_by, &default.to_string(), allowed, move |number| range.contains(number))
}

fn setting<T: FromStr + Display>(
    name: &'static str,
    read_by: &'static [Service],
    default: &str,
    allowed: impl Into<String>,
    fits: impl Fn(&T) -> bool + Send + Sync + 'static,
) -> Setting {
    let allowed = allowed.into();
    let problem = format!("must be {allowed}");
    let shown = move |text: &str| {
        text.parse().ok().filter(&fits).map(|value| value.to_string()).ok_or_else(|| problem.clone())
    };
    Setting {
        name,
        read_by,
        required_by: &[],
        default: Some(default.to_owned()),
        allowed,
        shown: Box::new(shown),
    }
}
