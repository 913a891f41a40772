//! The result of a comparison: the differences, and which of them are healed.

use super::{
    difference::Difference,
    error::{DIFFERENCES_MAX, VerifyError},
};

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Report {
    /// How many slots were compared, deleted ones included.
    pub slots: u64,
    /// The log's end at the start; the replica has settled everything up to it.
    pub from: i64,
    /// The log's end when the comparison ended.
    pub to: i64,
    /// Every difference, healed ones included.
    pub findings: Vec<Finding>,
}

/// A difference, and whether it is healed.
#[derive(Debug)]
pub struct Finding {
    /// What is wrong.
    pub difference: Difference,
    /// Whether it is healed.
    pub healed: bool,
}

impl Report {
    /// How many differences are not healed.
    #[must_use]
    pub fn left(&self) -> usize {
        self.findings.iter().filter(|finding| !finding.healed).count()
    }

    pub(super) fn add(&mut self, difference: Difference, healed: bool) -> Result<(), VerifyError> {
        if self.findings.len() >= DIFFERENCES_MAX {
            return Err(VerifyError::TooMany);
        }
        self.findings.push(Finding { difference, healed });
        Ok(())
    }
}

/// How far the first pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyProgress {
    /// The log is checked up to this position.
    Log(i64),
    /// This many slots are compared.
    Slots(u64),
}
