//! Combines positions into ranges.

use jiff::Timestamp;
use shared::position::Position;

/// Ranges of consecutive positions, as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The first position of each range.
    pub firsts: Vec<i64>,
    /// The last position of each range.
    pub lasts: Vec<i64>,
    /// The latest known commit time of each range: that of its last position, if its event could be read.
    pub last_times: Vec<Timestamp>,
}

impl Ranges {
    /// The fewest ranges that cover exactly these positions. The positions may come in any order and repeatedly.
    #[must_use]
    pub fn covering(events: impl IntoIterator<Item = (Position, Timestamp)>) -> Self {
        let mut events: Vec<_> = events.into_iter().map(|(position, time)| (position.get(), time)).collect();
        events.sort_unstable();
        events.dedup_by_key(|(number, _)| *number);
        let mut ranges = Self::default();
        for (number, time) in events {
            match (ranges.lasts.last_mut(), ranges.last_times.last_mut()) {
                (Some(last), Some(last_time)) if *last + 1 == number => {
                    (*last, *last_time) = (number, time.max(*last_time));
                }
                _ => {
                    ranges.firsts.push(number);
                    ranges.lasts.push(number);
                    ranges.last_times.push(time);
                }
            }
        }
        ranges
    }
}
