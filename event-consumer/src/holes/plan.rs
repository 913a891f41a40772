//! What to ask for, and when. Pure: looks come in, with their times, and requests come out.

use std::{ops::Range, time::Duration};

use rangemap::RangeSet;
use shared::replay::REPLAY_MAX_POSITIONS;
use tokio::time::Instant;

use crate::projection::Missing;

/// How long a position must have been missing before it is asked for: what is on its way arrives sooner.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may make no progress before the rest is asked for again.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// The most requests that are open at a time, which bounds what is on its way because of them.
pub const OPEN_MAX: usize = 4;

/// A range asked for this often, and still missing, is worth a person's look.
pub const VAIN_TIMES: u32 = 3;

/// From this time on, positions are asked for one by one, so that what cannot be read stands alone.
const SINGLY_FROM: u32 = 3;

/// The most positions that are asked for one by one in one go.
const SINGLE_MAX: i64 = 256;

/// A range that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    range: Range<i64>,
    left: i64,
    progress_at: Instant,
    times: u32,
}

/// What is suspected, and what has been asked for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    suspected: RangeSet<i64>,
    suspected_at: Option<Instant>,
    confirmed: RangeSet<i64>,
    open: Vec<Open>,
}

impl Plan {
    /// Takes a look at what is missing; what to ask for now.
    pub fn look(&mut self, missing: &Missing, now: Instant) -> Vec<Range<i64>> {
        let mut counted = missing.between.clone();
        if !missing.is_busy {
            counted.extend(missing.beyond.iter().cloned());
        }
        self.confirm(&counted, now);
        let all: RangeSet<i64> = missing.between.iter().chain(missing.beyond.iter()).cloned().collect();
        let mut asks = self.ask_again(&all, now);
        asks.extend(self.ask_first(now));
        asks
    }

    /// Whether something is being waited for, so that a look soon is worth it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.open.is_empty() || !self.confirmed.is_empty()
    }

    /// The ranges that were asked for so often that somebody should know.
    pub fn in_vain(&self) -> impl Iterator<Item = &Range<i64>> {
        self.open.iter().filter(|open| open.times > VAIN_TIMES).map(|open| &open.range)
    }

    /// What was missing [`PATIENCE`] ago and is missing still, is missing.
    fn confirm(&mut self, counted: &RangeSet<i64>, now: Instant) {
        self.confirmed = intersection(&self.confirmed, counted);
        match self.suspected_at {
            Some(since) if now < since + PATIENCE => return,
            Some(_) => self.confirmed.extend(intersection(&self.suspected, counted)),
            None => {}
        }
        self.suspected.clone_from(counted);
        self.suspected_at = (!counted.is_empty()).then_some(now);
    }

    fn ask_again(&mut self, missing: &RangeSet<i64>, now: Instant) -> Vec<Range<i64>> {
        let mut asks = Vec::new();
        self.open.retain_mut(|open| {
            let rest = within(missing, &open.range);
            let left = count(&rest);
            if left < open.left {
                (open.left, open.progress_at) = (left, now);
            } else if now >= open.progress_at + ANSWER_PATIENCE {
                (open.times, open.progress_at) = (open.times + 1, now);
                asks.extend(again(&rest, open.times));
            }
            left > 0
        });
        asks
    }

    fn ask_first(&mut self, now: Instant) -> Vec<Range<i64>> {
        let mut asks = Vec::new();
        while self.open.len() < OPEN_MAX {
            let Some(hole) = self.confirmed.iter().next().cloned() else { break };
            let range = hole.start..hole.end.min(hole.start + REPLAY_MAX_POSITIONS);
            self.confirmed.remove(range.clone());
            if self.open.iter().any(|open| open.range.start < range.end && range.start < open.range.end) {
                continue;
            }
            let left = range.end - range.start;
            self.open.push(Open { range: range.clone(), left, progress_at: now, times: 1 });
            asks.push(range);
        }
        asks
    }
}

/// What is left of a range, the first of it one by one if it has been asked for often enough.
fn again(rest: &RangeSet<i64>, times: u32) -> Vec<Range<i64>> {
    let mut singles = if times < SINGLY_FROM { 0 } else { SINGLE_MAX };
    let mut asks = Vec::new();
    for range in rest.iter() {
        let alone = singles.min(range.end - range.start);
        let grouped_from = range.start + alone;
        asks.extend((range.start..grouped_from).map(|position| position..position + 1));
        asks.extend((grouped_from < range.end).then_some(grouped_from..range.end));
        singles -= alone;
    }
    asks
}

fn intersection(one: &RangeSet<i64>, other: &RangeSet<i64>) -> RangeSet<i64> {
    one.intersection(other).collect()
}

fn within(set: &RangeSet<i64>, range: &Range<i64>) -> RangeSet<i64> {
    let only: RangeSet<i64> = std::iter::once(range.clone()).collect();
    intersection(set, &only)
}

fn count(set: &RangeSet<i64>) -> i64 {
    set.iter().map(|range| range.end - range.start).sum()
}
