//! The sources of settings: a TOML file, overridden by the environment.

use std::{env, fs, path::Path};

use config::{ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::declared::{PREFIX, Service, Setting, SettingError};

/// Sources of values, as `settings --json` prints them.
pub(super) const CONFIG_FILE: &str = "config-file";
pub(super) const ENVIRONMENT: &str = "environment";
pub(super) const VALUE_FILE: &str = "value-file";

/// The values that a service reads from one source, by setting name. All are text: a password such as `0123` or `1e5`
/// is no number.
#[derive(Clone)]
pub(super) struct Given {
    service: Service,
    values: Map<String, Value>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Source for Given {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

impl Given {
    /// Reads a TOML file: `port` in `[http]` is `PARKING__HTTP__PORT`; URLs belong to no section.
    pub(super) fn in_file(path: &Path, service: Service) -> Result<Self, SettingError> {
        let wrong = |problem: String| SettingError::new("--config", problem);
        let text = fs::read_to_string(path).map_err(|cause| wrong(format!("cannot be read: {cause}")))?;
        let table =
            FileFormat::Toml.parse(None, &text).map_err(|cause| wrong(place_in_toml(&cause.to_string())))?;
        let mut given = Self { service, values: Map::new() };
        for (key, value) in table {
            let key = key.to_uppercase();
            match value.kind {
                ValueKind::Table(section) => {
                    for (name, value) in section {
                        given.add_from_file(&format!("{PREFIX}{key}__{}", name.to_uppercase()), value)?;
                    }
                }
                _ => given.add_from_file(&key, value)?,
            }
        }
        Ok(given)
    }

    /// Reads this process's variables: `NAME` holds a value, `NAME_FILE` names a file with it.
    pub(super) fn in_environment(service: Service) -> Result<Self, SettingError> {
        let mut given = Self { service, values: Map::new() };
        for (variable, value) in env::vars_os() {
            let variable = variable.to_string_lossy();
            let itself = Setting::named(&variable);
            let by_file = || variable.strip_suffix("_FILE").and_then(Setting::named);
            let Some(setting) = itself.or_else(by_file) else {
                if variable.starts_with(PREFIX) {
                    return Err(SettingError::new(&variable, "is not a setting"));
                }
                continue;
            };
            let value = value.into_string().map_err(|_| SettingError::new(&variable, "is not UTF-8"))?;
            let (text, origin) = match itself {
                Some(_) => (value, ENVIRONMENT),
                None => (text_of_file(&variable, &value)?, VALUE_FILE),
            };
            given.add(setting, text, origin, "is set twice, as itself and as the name of a file")?;
        }
        Ok(given)
    }

    fn add_from_file(&mut self, name: &str, value: Value) -> Result<(), SettingError> {
        let text = match value.kind {
            ValueKind::String(text) => text,
            ValueKind::I64(number) => number.to_string(),
            _ => return Err(SettingError::new(name, "must be a string or an integer")),
        };
        let setting = Setting::named(name).ok_or_else(|| SettingError::new(name, "is not a setting"))?;
        self.add(setting, text, CONFIG_FILE, "is set twice in the file")
    }

    /// Adds a value that this service reads.
    fn add(
        &mut self,
        setting: &Setting,
        text: String,
        origin: &str,
        twice: &str,
    ) -> Result<(), SettingError> {
        if setting.read_by.contains(&self.service) {
            let value = Value::new(Some(&origin.to_owned()), text);
            if self.values.insert(setting.name.to_owned(), value).is_some() {
                return Err(SettingError::new(setting.name, twice));
            }
        }
        Ok(())
    }
}

fn text_of_file(variable: &str, path: &str) -> Result<String, SettingError> {
    let text = fs::read_to_string(path).map_err(|cause| {
        SettingError::new(variable, format!("names a file that cannot be read: {}", cause.kind()))
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The first line of a TOML error says where; the others quote the file, which may hold secrets.
fn place_in_toml(report: &str) -> String {
    let place = report.lines().next().and_then(|line| line.strip_prefix("TOML parse error at "));
    place.map_or_else(|| "is not TOML".to_owned(), |place| format!("is not TOML: {place}"))
}
