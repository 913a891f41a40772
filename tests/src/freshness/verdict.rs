//! What the judge has found.

use std::fmt;

/// How often what was checked, and what became of the reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a count of answers, and the output says of which")]
pub struct Checks {
    pub receipt: usize,
    pub strong: usize,
    pub bounded: usize,
    pub as_of: usize,
    pub handed_on: usize,
    pub said_applied: usize,
    pub of_one: usize,
    pub of_page: usize,
    pub of_summary: usize,
    pub eventual: usize,
    pub satisfied: usize,
    pub stale: usize,
    pub behind: usize,
    pub unavailable: usize,
    /// Satisfied only after a wait.
    pub after_wait: usize,
    /// Reads without a demand that lacked a write which had been acknowledged before they were sent: what a demand
    /// would have had to wait for.
    pub lacking: usize,
    /// Reads without a receipt that showed something older than the read before had shown.
    pub went_back: usize,
}

/// What a trial has come to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was checked.
    pub checks: Checks,
    /// How many writes were acknowledged.
    pub writes: usize,
    /// How often a consumer was killed or stopped.
    pub faults: usize,
    /// The first answer that was not true.
    pub violation: Option<String>,
}

impl Checks {
    /// Whether every kind of check was made at least this often.
    #[must_use]
    pub fn reach(&self, floor: usize) -> bool {
        let kinds = [
            self.receipt,
            self.strong,
            self.bounded,
            self.as_of,
            self.handed_on,
            self.said_applied,
            self.of_one,
            self.of_page,
            self.of_summary,
            self.after_wait,
            self.lacking,
        ];
        kinds.into_iter().all(|count| count >= floor)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = &self.checks;
        writeln!(
            f,
            "checked: {} own receipts, {} strong, {} bounded, {} as of, {} handed on, {} said to be applied",
            checks.receipt,
            checks.strong,
            checks.bounded,
            checks.as_of,
            checks.handed_on,
            checks.said_applied
        )?;
        writeln!(
            f,
            "in {} single slots, {} pages, {} summaries; {} writes; a consumer was killed or stopped {} times",
            checks.of_one, checks.of_page, checks.of_summary, self.writes, self.faults
        )?;
        write!(
            f,
            "answers: {} eventual ({} lacked a write), {} satisfied ({} after a wait), {} stale, {} times 504, {} \
             times 503",
            checks.eventual,
            checks.lacking,
            checks.satisfied,
            checks.after_wait,
            checks.stale,
            checks.behind,
            checks.unavailable
        )
    }
}
