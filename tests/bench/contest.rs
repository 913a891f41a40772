//! A row of the table: our figure beside a peer's, taken in turns in one run. Only their ratio travels to another machine.

use anyhow::Result;
use serde::Serialize;

use crate::figures::Series;

/// What a ratio must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// Ours at least this many times the peer's.
    AtLeast(f64),
    /// Ours at most this many times the peer's.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(goal) => ratio >= goal,
            Self::AtMost(goal) => ratio <= goal,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(formatter, ">= {goal} x"),
            Self::AtMost(goal) => write!(formatter, "<= {goal} x"),
        }
    }
}

/// A finished row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contest {
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: Series,
    pub(crate) theirs: Series,
    pub(crate) ratio: Series,
    pub(crate) goal: Goal,
    pub(crate) met: bool,
}

impl Contest {
    /// Measures both sides `rounds` times, in turns.
    ///
    /// # Errors
    /// Those of either side.
    pub(crate) async fn run(
        (name, peer, unit): (&str, &str, &'static str),
        goal: Goal,
        rounds: u32,
        ours: impl AsyncFn() -> Result<f64>,
        theirs: impl AsyncFn() -> Result<f64>,
    ) -> Result<Self> {
        let (mut own, mut other, mut ratio) = (Series::default(), Series::default(), Series::default());
        for _ in 0..rounds {
            let (one, two) = (ours().await?, theirs().await?);
            own.push(one);
            other.push(two);
            ratio.push(one / two);
        }
        let met = goal.is_met(ratio.median());
        let (name, peer) = (name.to_owned(), peer.to_owned());
        Ok(Self { name, peer, unit, ours: own, theirs: other, ratio, goal, met })
    }
}

/// The head of the table that [`Contest`]s print.
pub(crate) const HEAD: &str = "\
| row | ours | peer | ratio (min to max) | goal | verdict |
|---|---|---|---|---|---|";

impl std::fmt::Display for Contest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, peer, unit, ours, theirs, ratio, goal, met } = self;
        let (one, two) = (ours.median(), theirs.median());
        write!(
            formatter,
            "| {name} | {one:.*} {unit} | {peer}: {two:.*} {unit} |",
            digits(one),
            digits(two)
        )?;
        let (low, high) = ratio.range();
        write!(formatter, " {:.2} x ({low:.2} to {high:.2}) | {goal} |", ratio.median())?;
        write!(formatter, " {} |", if *met { "met" } else { "MISSED" })
    }
}

/// Large figures need no fraction.
fn digits(figure: f64) -> usize {
    if figure < 100.0 { 2 } else { 0 }
}
