//! What this process knows of the end of the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::session::Snapshot;
use crate::{primary::clock::PrimaryClock, register::place::LogEnd};

/// What this process knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownEnd {
    /// The epoch that the primary reported last.
    pub(super) epoch: Option<Uuid>,
    /// The log ends here or later. Cleared with the connection, because the next one may lead to a shorter log.
    pub(super) end: Option<LogEnd>,
    /// The primary's clock; `None` until the primary first reports one.
    pub(super) clock: Option<PrimaryClock>,
}

/// A [`KnownEnd`] shared by handle and reader. Clones share it too.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedEnd(Arc<Mutex<KnownEnd>>);

impl SharedEnd {
    /// A copy of what is known now.
    pub(super) fn get(&self) -> KnownEnd {
        *self.lock()
    }

    /// Records the primary's answer. Within an epoch the end only rises; another epoch may be shorter.
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

    /// Clears the end, because the connection is lost.
    pub(super) fn forget_end(&self) {
        self.lock().end = None;
    }

    fn lock(&self) -> MutexGuard<'_, KnownEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
