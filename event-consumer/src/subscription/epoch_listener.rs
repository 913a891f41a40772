//! Shares between tasks which epoch was heard when.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::epoch_words::EpochWords;

/// What the tasks of one subscription hear and judge.
#[derive(Debug, Default)]
pub struct EpochListener {
    words: Mutex<EpochWords>,
    is_judging: AtomicBool,
}

impl EpochListener {
    /// Whether messages of another epoch wait for a judgement.
    #[must_use]
    pub fn is_judging(&self) -> bool {
        self.is_judging.load(Ordering::Relaxed)
    }

    pub(super) fn note_judging(&self, is_judging: bool) {
        self.is_judging.store(is_judging, Ordering::Relaxed);
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, EpochWords> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
