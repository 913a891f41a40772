//! What was found, and what became of it.

use super::{
    difference::Difference,
    error::{DIFFERENCES_MAX, VerifyError},
};

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many slots were compared, deleted ones included.
    pub slots: u64,
    /// The replica has everything up to this position, the log's end at the beginning.
    pub from: i64,
    /// The log's end at the end.
    pub to: i64,
    /// What is different, or was and is healed.
    pub findings: Vec<Finding>,
}

/// A difference, and what became of it.
#[derive(Debug)]
pub struct Finding {
    /// What is wrong.
    pub difference: Difference,
    /// Whether it was put right.
    pub healed: bool,
}

impl Report {
    /// How many differences are left.
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

/// How far the first look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyProgress {
    /// The log has been looked at up to this position.
    Log(i64),
    /// So many slots have been compared.
    Slots(u64),
}
