//! Times in order, and how a figure is printed.

use std::time::Duration;

use serde::Serialize;

/// Figures of the same thing from several rounds.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one; of an even number, the lower of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    /// The lowest and the highest.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.0.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), figure| {
            (low.min(*figure), high.max(*figure))
        })
    }
}

/// Times of one kind of call.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time below which this part of all times lies, in milliseconds: the nearest-rank percentile.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }
}

/// Prints a figure beside its goal, and whether it is met.
pub(crate) fn against_goal(what: &str, figure: f64, goal: f64, unit: &str) {
    let verdict = if figure <= goal { "met" } else { "MISSED" };
    println!("{what:<62} {figure:>8.3} {unit:<5} goal <= {goal} {unit}: {verdict}");
}

/// Prints a figure that has no goal.
pub(crate) fn figure(what: &str, figure: f64, unit: &str) {
    println!("{what:<62} {figure:>8.3} {unit}");
}
