//! How large tests are.

use std::time::Duration;

/// Multiplies what the tests that ask for it work on; a whole number from 1, which it is unless set.
const VARIABLE: &str = "PARKING_TEST_SCALE";

/// What counts of slots are to be multiplied by: what `PARKING_TEST_SCALE` says.
///
/// # Panics
/// It is set to something else than a whole number from 1: a test that ran smaller than it was told to would prove less
/// than is believed.
#[must_use]
pub fn scale() -> u32 {
    let Ok(text) = std::env::var(VARIABLE) else { return 1 };
    match text.parse() {
        Ok(scale) if scale > 0 => scale,
        _ => panic!("{VARIABLE} must be a whole number from 1, and is {text:?}"),
    }
}

/// A bound that grows with the scale: `base` is meant for the smallest, of which `part` grows.
#[must_use]
pub fn scaled(base: Duration, part: Duration) -> Duration {
    base + part * (scale() - 1)
}
