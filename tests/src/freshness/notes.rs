//! What followers have read, and in which phase of the test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sample::Sample;

/// A read, with the phase in which it was sent.
#[derive(Debug)]
pub struct Noted {
    /// The phase in which it was sent.
    pub sent_in: usize,
    /// The read.
    pub sample: Sample,
}

/// What the followers have read.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    phase: usize,
    receipts_held: usize,
    reads: Vec<Noted>,
}

impl Notes {
    /// The phase now.
    pub(super) fn phase(&self) -> usize {
        self.page().phase
    }

    pub(super) fn note(&self, sent_in: usize, sample: Sample) {
        let mut page = self.page();
        let is_counted = sent_in == page.phase && sample.outcome.is_ok() && sample.demand.has_receipt();
        page.receipts_held += usize::from(is_counted);
        page.reads.push(Noted { sent_in, sample });
    }

    pub(super) fn next_phase(&self) {
        let mut page = self.page();
        page.phase += 1;
        page.receipts_held = 0;
    }

    /// How many reads with a receipt were sent and answered in this phase, and not refused.
    pub(super) fn receipts_held(&self) -> usize {
        self.page().receipts_held
    }

    pub(super) fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut self.page().reads)
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
