//! Times as users see them: UTC, six digits after the second, `Z`.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// The time as text.
#[must_use]
pub fn format(time: Timestamp) -> String {
    PRINTER.timestamp_to_string(&time)
}

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*time))
}

/// For `#[serde(with)]`. Refuses a time finer than a microsecond: the databases would round it, and a copy
/// would differ.
///
/// # Errors
/// Not a time, or a time finer than a microsecond.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let time = Timestamp::deserialize(deserializer)?;
    if time.subsec_nanosecond() % 1_000 == 0 {
        Ok(time)
    } else {
        Err(D::Error::custom("a time must be in whole microseconds"))
    }
}

/// The same for a time that may be absent.
pub mod option {
    use super::{Deserializer, Serializer, Timestamp};

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with)]`. Refuses `null`; an absent member takes the field's `default`.
    ///
    /// # Errors
    /// Not a time, or a time finer than a microsecond.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
