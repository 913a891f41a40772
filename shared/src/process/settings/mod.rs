//! Settings: defaults, then an optional TOML file, then the environment, into the struct of a service.
//!
//! | module | holds |
//! |---|---|
//! | `declared` | every setting of both services |
//! | `sources` | the TOML file and the environment |

mod declared;
mod sources;

use std::{fmt, path::Path, str::FromStr};

use config::{Config, ConfigError, ValueKind};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error},
};
pub use tracing_subscriber::filter::LevelFilter;

pub use self::declared::{LOG_LEVEL, SETTINGS, Service, Setting, SettingError};
use self::{
    declared::OTHER_SIGNING_KEY,
    sources::{CONFIG_FILE, Given, VALUE_FILE},
};
use crate::broker::signing::{SigningKey, SigningKeys};

const DEFAULT: &str = "default";

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its name.
    pub name: &'static str,
    /// Its value; a secret is hidden. `None`: it is not set.
    pub value: Option<String>,
    /// The source of the value.
    pub source: String,
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source.as_str() {
            CONFIG_FILE => "config file",
            VALUE_FILE => "file named by the environment",
            source => source,
        };
        let value = self.value.as_deref().unwrap_or("[not set]");
        write!(f, "{} = {value} ({source})", self.name)
    }
}

/// Loads and lists the settings of a service. A setting that only the struct or only [`SETTINGS`] has stops every
/// start.
///
/// # Errors
/// The first setting that is missing, wrong or unknown.
pub fn load<S: DeserializeOwned>(
    service: Service,
    config_file: Option<&Path>,
) -> Result<(S, Vec<Effective>), SettingError> {
    let own = || SETTINGS.iter().filter(|setting| setting.read_by.contains(&service));
    let mut layers = Config::builder();
    for setting in own() {
        layers = layers.set_default(setting.name, setting.default.clone()).map_err(reported)?;
    }
    if let Some(path) = config_file {
        layers = layers.add_source(Given::in_file(path, service)?);
    }
    let merged = layers.add_source(Given::in_environment(service)?).build().map_err(reported)?;
    let values = merged.cache.clone().into_table().map_err(reported)?;
    let effective = own().map(|setting| {
        let value = values.get(setting.name).cloned().unwrap_or_default();
        let source = value.origin().unwrap_or(DEFAULT).to_owned();
        if value.kind == ValueKind::Nil && !setting.required_by.contains(&service) {
            return Ok(Effective { name: setting.name, value: None, source });
        }
        let text = value.into_string().map_err(|_| SettingError::new(setting.name, "must be set"))?;
        Ok(Effective { name: setting.name, value: Some(setting.shown(&text)?), source })
    });
    let effective = effective.collect::<Result<_, SettingError>>()?;
    Ok((merged.try_deserialize().map_err(reported)?, effective))
}

/// Whether a source sets it, not its default.
#[must_use]
pub fn is_set(effective: &[Effective], name: &str) -> bool {
    effective.iter().any(|setting| setting.name == name && setting.source != DEFAULT)
}

/// The struct and the declarations differ. Leaves out the library's message, which shows the value.
fn reported(error: ConfigError) -> SettingError {
    let problem = match error {
        ConfigError::NotFound(_) | ConfigError::Message(_) => error.to_string(),
        _ => "a field has another type than its declaration".to_owned(),
    };
    SettingError::new("settings", problem)
}

/// As [`parsed`], for a setting that need not be set.
///
/// # Errors
/// The text does not parse.
pub fn parsed_if_set<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::<String>::deserialize(from)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// Parses a field of a service's struct with the `FromStr` of its type.
///
/// # Errors
/// The text does not parse.
pub fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// The keys of a service's messages.
///
/// # Errors
/// Only `other` is set.
pub fn signing_keys(
    own: Option<&SigningKey>,
    other: Option<&SigningKey>,
) -> Result<SigningKeys, SettingError> {
    let keys = SigningKeys::new(own.cloned(), other.cloned());
    keys.map_err(|problem| SettingError::new(OTHER_SIGNING_KEY, problem.to_string()))
}
