//! How large a test is. What shows itself in seconds on a few thousand rows is run on a hundred times as many now and
//! then: `PARKING_TEST_SCALE=100 cargo stack test -- FILTER`.

use std::time::Duration;

/// The setting that multiplies the counts of those tests that ask for it.
const SETTING: &str = "PARKING_TEST_SCALE";

/// By how much counts and deadlines are multiplied: 1 unless the environment says otherwise.
///
/// # Panics
/// It says something that is no whole number from 1 on: a run of another size than asked for would show nothing.
#[must_use]
pub fn scale() -> usize {
    let Some(text) = std::env::var_os(SETTING) else { return 1 };
    let scale = text.to_str().and_then(|text| text.parse().ok()).filter(|scale| *scale >= 1);
    scale.unwrap_or_else(|| panic!("{SETTING} must be a whole number from 1 on"))
}

/// A deadline of which `part` is added for each step of the scale beyond the first.
#[must_use]
pub fn scaled(base: Duration, part: Duration) -> Duration {
    base + part.saturating_mul(u32::try_from(scale() - 1).unwrap_or(u32::MAX))
}
