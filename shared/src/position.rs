//! Positions in the log.

use std::fmt;

/// The position of an event in the log: gapless from 1, in commit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(i64);

impl Position {
    /// The position with this number. `None` unless it is at least 1, and below `i64::MAX` so that a range
    /// can end after it.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (1..i64::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
