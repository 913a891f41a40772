//! What followers have read, and in which phase of the test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sample::Sample;

/// A read, with the phases in which it was sent and answered.
#[derive(Debug)]
pub struct Noted {
    /// The phase in which it was sent.
    pub sent_in: usize,
    /// The phase in which it was answered.
    pub answered_in: usize,
    /// The read.
    pub sample: Sample,
}

/// What the followers have read.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    phase: usize,
    answered: usize,
    reads: Vec<Noted>,
}

impl Notes {
    /// The phase now.
    pub(super) fn phase(&self) -> usize {
        self.page().phase
    }

    pub(super) fn note(&self, sent_in: usize, sample: Sample) {
        let mut page = self.page();
        let answered_in = page.phase;
        page.answered += usize::from(sent_in == answered_in && sample.outcome.is_ok());
        page.reads.push(Noted { sent_in, answered_in, sample });
    }

    pub(super) fn next_phase(&self) {
        let mut page = self.page();
        page.phase += 1;
        page.answered = 0;
    }

    /// How many reads were sent and answered in this phase, and not refused.
    pub(super) fn answered(&self) -> usize {
        self.page().answered
    }

    pub(super) fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut self.page().reads)
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
