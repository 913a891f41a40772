//! Times as users see them: UTC, six digits after the second, `Z`.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// The time as text.
#[must_use]
pub fn format(time: Timestamp) -> String {
    PRINTER.timestamp_to_string(&time)
}

/// A time that serializes as its text without an allocation: a page has two for each slot.
#[derive(Clone, Copy, Debug)]
pub struct AsText(pub Timestamp);

impl Serialize for AsText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match short_text(self.0).as_ref().map(|text| std::str::from_utf8(text)) {
            Some(Ok(text)) => serializer.serialize_str(text),
            _ => serializer.serialize_str(&format(self.0)),
        }
    }
}

/// The text of a time in the years 0 to 9999; others need more digits.
fn short_text(time: Timestamp) -> Option<[u8; 27]> {
    let civil = Offset::UTC.to_datetime(time);
    let year = u32::try_from(civil.year()).ok()?;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let micros = civil.subsec_nanosecond() / 1_000;
    let two = |number: i8| u32::try_from(number).unwrap_or_default();
    for (end, digits, number) in [
        (4, 4, year),
        (7, 2, two(civil.month())),
        (10, 2, two(civil.day())),
        (13, 2, two(civil.hour())),
        (16, 2, two(civil.minute())),
        (19, 2, two(civil.second())),
        (26, 6, u32::try_from(micros).unwrap_or_default()),
    ] {
        let mut left = number;
        for digit in text[end - digits..end].iter_mut().rev() {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
        }
    }
    Some(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_without_an_allocation_is_the_same() {
        let known = [Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::MAX];
        // From the year -6000 to the year 9999, in steps that reach every field.
        let others = (0..20_000).map(|step| {
            let micros = -251_000_000_000_000_000 + step * 25_219_123_456_789;
            Timestamp::from_microsecond(micros).expect("a time")
        });
        for time in known.into_iter().chain(others) {
            let text = serde_json::to_value(AsText(time)).expect("a text");

            assert_eq!(text, format(time));
        }
    }
}
