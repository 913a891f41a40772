//! Settings: defaults, then an optional TOML file, then the environment. Every setting that a service knows is asked
//! for by name; what is left over and looks like a setting is an error, so that a misspelt one is not silently
//! without effect.

use std::{collections::BTreeMap, fmt, fs, path::Path, str::FromStr};

use serde::Serialize;
pub use tracing_subscriber::filter::LevelFilter;

use crate::{broker::BrokerUrl, postgres::DatabaseUrl, replica_name::ReplicaName};

/// What the names of most settings begin with.
const PREFIX: &str = "PARKING__";

/// Appended to a setting's name: the file that holds the value.
const FILE_SUFFIX: &str = "_FILE";

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
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

/// Where a setting's value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The TOML file.
    ConfigFile,
    /// A variable.
    Environment,
    /// The file that a variable names.
    ValueFile,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::ConfigFile => "config file",
            Self::Environment => "environment",
            Self::ValueFile => "file named by the environment",
        })
    }
}

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its name.
    pub name: &'static str,
    /// Its value; of a secret only that it is hidden.
    pub value: String,
    /// Where the value is from.
    pub source: Source,
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.name, self.value, self.source)
    }
}

/// What was set, taken one by one.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<String, (String, Source)>,
    effective: Vec<Effective>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("names", &self.values.keys()).finish()
    }
}

impl Settings {
    /// Reads the file, if one is named, and over it this environment.
    ///
    /// # Errors
    /// The file cannot be read; a variable of ours is not UTF-8, or is set twice.
    pub fn read(
        config_file: Option<&Path>,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Self, SettingError> {
        let mut values = config_file.map(read_config_file).transpose()?.unwrap_or_default();
        for (name, given) in read_environment(environment)? {
            values.insert(name, given);
        }
        Ok(Self { values, effective: Vec::new() })
    }

    /// A setting's text, if it is set. What it comes to has to be reported with [`Settings::note`].
    fn given(&self, name: &'static str) -> Option<(String, Source)> {
        self.values.get(name).cloned()
    }

    fn note(&mut self, name: &'static str, value: String, source: Source) {
        self.effective.push(Effective { name, value, source });
    }

    /// A setting with a default; `expected` completes the sentence "must be ...".
    ///
    /// # Errors
    /// It is set to something else.
    pub fn parsed<T: FromStr + fmt::Display>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T, SettingError> {
        let (value, source) = match self.given(name) {
            None => (default, Source::Default),
            Some((text, source)) => {
                let value = text.parse().ok().filter(fits);
                (value.ok_or_else(|| error(name, &format!("must be {expected}")))?, source)
            }
        };
        self.note(name, value.to_string(), source);
        Ok(value)
    }

    /// The URL of a database.
    ///
    /// # Errors
    /// It is absent or not a URL.
    pub fn database(&mut self, name: &'static str) -> Result<DatabaseUrl, SettingError> {
        self.secret(name, DatabaseUrl::parse, "postgres://user:password@host:5432/name")
    }

    /// The URL of the broker.
    ///
    /// # Errors
    /// It is absent or not a URL.
    pub fn broker(&mut self) -> Result<BrokerUrl, SettingError> {
        self.secret(BROKER_URL, BrokerUrl::parse, "amqp://user:password@host:5672/%2f")
    }

    fn secret<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        example: &str,
    ) -> Result<T, SettingError> {
        let (text, source) = self.given(name).ok_or_else(|| error(name, "must be set"))?;
        let value = parse(&text).ok_or_else(|| error(name, &format!("must be a URL such as {example}")))?;
        self.note(name, "[hidden]".to_owned(), source);
        Ok(value)
    }

    /// The replica's name; `main` unless set.
    ///
    /// # Errors
    /// It is not `[a-z0-9_-]{1,40}`.
    pub fn replica_name(&mut self) -> Result<ReplicaName, SettingError> {
        let main = ReplicaName::main();
        self.parsed("PARKING__REPLICA__NAME", main, "1 to 40 of a-z, 0-9, _ and -", |_| true)
    }

    /// The form of the logs.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn log_format(&mut self) -> Result<LogFormat, SettingError> {
        self.parsed("PARKING__LOG__FORMAT", LogFormat::Text, "text or json", |_| true)
    }

    /// The least severe lines that are logged.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn log_level(&mut self, default: LevelFilter) -> Result<LevelFilter, SettingError> {
        self.parsed("PARKING__LOG__LEVEL", default, "off, error, warn, info, debug or trace", |_| true)
    }

    /// To be called last: what is set and nobody asked for is a mistake, unless the other service knows it. Returns
    /// the settings as they are in force.
    ///
    /// # Errors
    /// The first such name.
    pub fn finish(self) -> Result<Vec<Effective>, SettingError> {
        for name in self.values.keys() {
            let asked_for = self.effective.iter().any(|effective| effective.name == name);
            if !asked_for && !KNOWN_TO_EITHER.contains(&name.as_str()) {
                return Err(error(name, "is not a setting"));
            }
        }
        Ok(self.effective)
    }
}

/// The table's keys as the names of variables: `port` in `[http]` is `PARKING__HTTP__PORT`, and the URLs, which stand
/// outside any section, are themselves.
fn read_config_file(path: &Path) -> Result<BTreeMap<String, (String, Source)>, SettingError> {
    let unreadable = |problem: String| error("--config", &problem);
    let text = fs::read_to_string(path).map_err(|cause| unreadable(format!("cannot be read: {cause}")))?;
    let table: toml::Table = text
        .parse()
        .map_err(|cause: toml::de::Error| unreadable(format!("is not TOML: {}", cause.message())))?;
    let mut values = BTreeMap::new();
    let mut insert = |name: String, value: toml::Value| {
        let text = scalar(&name, value)?;
        match values.insert(name.clone(), (text, Source::ConfigFile)) {
            None => Ok(()),
            Some(_) => Err(error(&name, "is set twice in the file")),
        }
    };
    for (key, value) in table {
        let upper = key.to_uppercase();
        match value {
            toml::Value::Table(section) => {
                for (key, value) in section {
                    insert(format!("{PREFIX}{upper}__{}", key.to_uppercase()), value)?;
                }
            }
            value => insert(upper, value)?,
        }
    }
    Ok(values)
}

fn scalar(name: &str, value: toml::Value) -> Result<String, SettingError> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        _ => Err(error(name, "must be a string or an integer")),
    }
}

/// Our variables, by setting: either the value itself or the file that holds it, not both.
fn read_environment(
    environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<BTreeMap<String, (String, Source)>, SettingError> {
    let mut values: BTreeMap<String, (String, Source)> = BTreeMap::new();
    for (variable, value) in environment {
        let Some(variable) = variable.to_str() else { continue };
        let setting = variable.strip_suffix(FILE_SUFFIX).unwrap_or(variable);
        if !setting.starts_with(PREFIX) && !URLS.contains(&setting) {
            continue;
        }
        let value = value.into_string().map_err(|_| error(variable, "is not UTF-8"))?;
        let given = if variable.ends_with(FILE_SUFFIX) {
            let text = fs::read_to_string(&value).map_err(|cause| {
                error(variable, &format!("names a file that cannot be read: {}", cause.kind()))
            })?;
            (text.trim_end_matches(['\r', '\n']).to_owned(), Source::ValueFile)
        } else {
            (value, Source::Environment)
        };
        if values.insert(setting.to_owned(), given).is_some() {
            return Err(error(setting, "is set twice, as itself and as the name of a file"));
        }
    }
    Ok(values)
}

/// The URL of the primary.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The URL of the replica.
pub const REPLICA_DATABASE_URL: &str = "REPLICA_DATABASE_URL";
/// The URL of the broker.
pub const BROKER_URL: &str = "RABBITMQ_BROKER_URL";

const URLS: [&str; 3] = [DATABASE_URL, REPLICA_DATABASE_URL, BROKER_URL];

/// One environment may serve both services, so each lets the other's settings pass.
const KNOWN_TO_EITHER: [&str; 9] = [
    DATABASE_URL,
    REPLICA_DATABASE_URL,
    BROKER_URL,
    "PARKING__HTTP__PORT",
    "PARKING__HTTP__WORKERS",
    "PARKING__HTTP__COMMAND_DEADLINE_MS",
    "PARKING__CONSUMER__HTTP_PORT",
    "PARKING__REPLICA__NAME",
    "PARKING__COMMIT__QUEUE_LIMIT",
];

fn error(name: &str, problem: &str) -> SettingError {
    SettingError { name: name.to_owned(), problem: problem.to_owned() }
}
