//! Positions as ranges.

use shared::event::Position;

/// Consecutive positions: from the first up to, not including, the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Where each range begins.
    pub starts: Vec<i64>,
    /// Where each range has ended: one past its last position.
    pub ends: Vec<i64>,
}

impl Ranges {
    /// The fewest ranges that cover exactly these positions, in whatever order and however often they come.
    #[must_use]
    pub fn covering(positions: impl IntoIterator<Item = Position>) -> Self {
        let mut numbers: Vec<i64> = positions.into_iter().map(Position::get).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut ranges = Self::default();
        for number in numbers {
            match ranges.ends.last_mut() {
                Some(end) if *end == number => *end += 1,
                _ => {
                    ranges.starts.push(number);
                    ranges.ends.push(number + 1);
                }
            }
        }
        ranges
    }
}
