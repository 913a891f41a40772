//! What this process knows of the end of the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::session::Snapshot;
use crate::{primary::clock::PrimaryClock, register::place::LogEnd};

/// What is known now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownEnd {
    /// The epoch, as the primary said last.
    pub(super) epoch: Option<Uuid>,
    /// Where the log ends at least. Forgotten with the connection: the next one may lead to a log that was cut.
    pub(super) end: Option<LogEnd>,
    /// The primary's clock; `None` while it has not been asked yet.
    pub(super) clock: Option<PrimaryClock>,
}

/// The same for handle and reader. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedEnd(Arc<Mutex<KnownEnd>>);

impl SharedEnd {
    /// What is known now.
    pub(super) fn get(&self) -> KnownEnd {
        *self.lock()
    }

    /// Takes what the primary said. A log grows; only another epoch may be shorter.
    pub(super) fn learn(&self, snapshot: &Snapshot) {
        let mut known = self.lock();
        known.epoch = Some(snapshot.end.epoch);
        known.clock = snapshot.clock.or(known.clock);
        match &mut known.end {
            Some(end) if end.epoch == snapshot.end.epoch => {
                end.position = end.position.max(snapshot.end.position);
            }
            end => *end = Some(snapshot.end),
        }
    }

    /// Forgets the end, because the connection is lost.
    pub(super) fn forget_end(&self) {
        self.lock().end = None;
    }

    fn lock(&self) -> MutexGuard<'_, KnownEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
