//! How a commit wakes the relay.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Whom a commit has to wake by a notification of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Nobody: this process relays itself, and is notified in memory.
    Nobody,
    /// The relays of every process: one of them leads.
    EveryRelay,
}

/// What committer and relay of one process share. Clones are the same.
///
/// If the lead moves on between a look and the commit, nobody is woken; the next leader finds the event when it takes
/// the lead or looks by itself, at the latest after a second.
#[derive(Clone, Debug, Default)]
pub struct CommitSignal {
    committed: Arc<Notify>,
    leads_here: Arc<AtomicBool>,
}

impl CommitSignal {
    /// Says that something was committed.
    pub fn notify(&self) {
        self.committed.notify_one();
    }

    /// Whom the next commit has to wake.
    #[must_use]
    pub fn wake(&self) -> Wake {
        if self.leads_here.load(Ordering::Relaxed) { Wake::Nobody } else { Wake::EveryRelay }
    }

    /// Says whether the relay of this process leads.
    pub fn set_leads_here(&self, leads: bool) {
        self.leads_here.store(leads, Ordering::Relaxed);
    }

    /// Waits for a notification; one that came before counts.
    pub async fn notified(&self) {
        self.committed.notified().await;
    }
}
