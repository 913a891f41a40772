//! Decides which missing positions to request, and when. Does no I/O and reads no clock.

use std::{ops::Range, time::Duration};

use rangemap::RangeSet;
use shared::messages::replay::REPLAY_MAX_POSITIONS;
use tokio::time::Instant;

use super::missing::Missing;

/// How long a position must be missing before it is requested. An event that is still on its way arrives sooner.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may make no progress before the rest is requested again. The broker drops a request that nobody
/// took within [`OPEN_MAX`] times this: by then it has been repeated.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may make no progress before the subscription is doubted. It is doubted only if it received
/// nothing else in that time.
pub const HEARING_PATIENCE: Duration = Duration::from_secs(2);

/// The most requests that are open at a time. It bounds how many events are on their way in answer to them.
pub const OPEN_MAX: usize = 4;

/// After this many requests for a range that is still missing, an operator should look at it.
pub const VAIN_TIMES: u32 = 3;

/// From this request for a range on, positions are requested one by one, so that an unreadable event comes alone.
const SINGLY_FROM: u32 = 3;

/// The most positions of one range that are requested one by one at a time.
const SINGLE_MAX: i64 = 256;

/// A range that was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    range: Range<i64>,
    left: i64,
    asked_at: Instant,
    progress_at: Instant,
    times: u32,
}

/// Which positions are suspected to be lost, and which have been requested.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    suspected: RangeSet<i64>,
    suspected_at: Option<Instant>,
    confirmed: RangeSet<i64>,
    open: Vec<Open>,
    in_vain: RangeSet<i64>,
}

impl Plan {
    /// Takes note of what is missing, and returns the ranges to request now.
    pub fn look(&mut self, missing: &Missing, now: Instant) -> Vec<Range<i64>> {
        let all: RangeSet<i64> = missing.between.iter().chain(missing.beyond.iter()).cloned().collect();
        self.in_vain = intersection(&self.in_vain, &all);
        let mut asks = self.ask_again(&all, now);
        self.confirm(missing, &all, now);
        self.make_room();
        asks.extend(self.ask_first(now));
        asks
    }

    /// Whether ranges are requested or wait for their request, so that the caller should look again soon.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.open.is_empty() || !self.confirmed.is_empty()
    }

    /// The ranges whose answers are still incomplete: at most [`OPEN_MAX`].
    pub fn open(&self) -> impl Iterator<Item = &Range<i64>> {
        self.open.iter().map(|open| &open.range)
    }

    /// Whether an answer has made no progress for [`HEARING_PATIENCE`]: it may go to a queue that is no longer
    /// consumed.
    #[must_use]
    pub fn is_unanswered(&self, now: Instant) -> bool {
        self.open.iter().any(|open| now >= open.progress_at + HEARING_PATIENCE)
    }

    /// The ranges that were requested so often that an operator should know.
    pub fn in_vain(&self) -> impl Iterator<Item = &Range<i64>> {
        self.in_vain.iter()
    }

    /// Treats a position that is still missing after [`PATIENCE`] as lost, even if later ones arrive. Open ranges do
    /// not count: they are already requested.
    fn confirm(&mut self, missing: &Missing, all: &RangeSet<i64>, now: Instant) {
        let mut counted = missing.between.clone();
        if !missing.is_busy {
            counted.extend(missing.beyond.iter().cloned());
        }
        for open in &self.open {
            counted.remove(open.range.clone());
        }
        self.confirmed = intersection(&self.confirmed, all);
        self.suspected = intersection(&self.suspected, &counted);
        match self.suspected_at {
            Some(since) if now < since + PATIENCE => return,
            Some(_) => self.confirmed.extend(self.suspected.clone()),
            None => {}
        }
        self.suspected_at = (!counted.is_empty()).then_some(now);
        self.suspected = counted;
    }

    fn ask_again(&mut self, missing: &RangeSet<i64>, now: Instant) -> Vec<Range<i64>> {
        let rests: Vec<_> = self.open.iter().map(|open| within(missing, &open.range)).collect();
        let progressed = self.open.iter().zip(&rests).filter(|(open, rest)| count(rest) < open.left);
        // The relay answers requests in order: while it answers an earlier one, a later one makes no progress.
        let answering_since = progressed.map(|(open, _)| open.asked_at).min();
        let mut asks = Vec::new();
        for (open, rest) in self.open.iter_mut().zip(rests) {
            open.left = count(&rest);
            if answering_since.is_some_and(|since| open.asked_at >= since) {
                open.progress_at = now;
            } else if now >= open.progress_at + ANSWER_PATIENCE {
                if open.times >= VAIN_TIMES {
                    self.in_vain.extend(rest.clone());
                }
                *open = Open { asked_at: now, progress_at: now, times: open.times + 1, ..open.clone() };
                asks.extend(again(&rest, open.times));
            }
        }
        self.open.retain(|open| open.left > 0);
        asks
    }

    /// Closes a range that was requested in vain if a fresh range waits for a place, so that the others
    /// are not blocked. It is requested again later.
    fn make_room(&mut self) {
        if self.fresh().is_none() || self.open.len() < OPEN_MAX {
            return;
        }
        let gives_way = self.open.iter().position(|open| open.times > VAIN_TIMES);
        if let Some(place) = gives_way {
            self.open.remove(place);
        }
    }

    /// The first range that waits for its request and was not requested in vain before.
    fn fresh(&self) -> Option<Range<i64>> {
        self.confirmed.iter().find_map(|hole| self.in_vain.gaps(hole).next())
    }

    fn ask_first(&mut self, now: Instant) -> Vec<Range<i64>> {
        let mut asks = Vec::new();
        while self.open.len() < OPEN_MAX {
            let Some(hole) = self.fresh().or_else(|| self.confirmed.iter().next().cloned()) else { break };
            let range = hole.start..hole.end.min(hole.start.saturating_add(REPLAY_MAX_POSITIONS));
            self.confirmed.remove(range.clone());
            let times = if self.in_vain.overlaps(&range) { VAIN_TIMES } else { 1 };
            let left = range.end - range.start;
            self.open.push(Open { range: range.clone(), left, asked_at: now, progress_at: now, times });
            asks.push(range);
        }
        asks
    }
}

/// The requests for the rest of a range. From request [`SINGLY_FROM`] on, its first positions are requested singly.
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
