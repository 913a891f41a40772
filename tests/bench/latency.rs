//! A row of the table of latencies: what a kind of read takes, beside a bound for all but the slowest hundredth.

use serde::Serialize;

use crate::figures::Times;

/// A finished row; times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    name: String,
    p50: f64,
    p99: f64,
    goal: f64,
    met: bool,
}

impl Latency {
    /// The row of these times, whose 99th percentile must be below `goal`.
    pub(crate) fn of(name: &str, times: &mut Times, goal: f64) -> Self {
        let (p50, p99) = (times.percentile(50), times.percentile(99));
        Self { name: name.to_owned(), p50, p99, goal, met: p99 < goal }
    }
}

/// The head of the table that [`Latency`]s print.
pub(crate) const LATENCY_HEAD: &str = "\
| row | p50 | p99 | goal | verdict |
|---|---|---|---|---|";

impl std::fmt::Display for Latency {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, p50, p99, goal, met } = self;
        let verdict = if *met { "met" } else { "MISSED" };
        write!(formatter, "| {name} | {p50:.2} ms | {p99:.2} ms | < {goal} ms | {verdict} |")
    }
}
