//! Times in order, and how a figure is printed.

use std::time::Duration;

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
