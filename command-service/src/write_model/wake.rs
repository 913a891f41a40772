//! How a commit wakes the relay.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Which relays a commit must wake by a notification of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// No relay: the relay of this process leads, and gets its notification in memory.
    Nobody,
    /// The relays of all processes: one of them leads.
    EveryRelay,
}

/// Connects the committer and the relay of one process. Clones share the same state.
///
/// If the lead moves between [`CommitSignal::wake`] and the commit, the commit wakes no relay. The next leader then
/// finds the event when it takes the lead, or when it polls the log: at the latest after a second.
#[derive(Clone, Debug, Default)]
pub struct CommitSignal {
    committed: Arc<Notify>,
    leads_here: Arc<AtomicBool>,
}

impl CommitSignal {
    /// Tells the relay of this process that a batch was committed.
    pub fn notify(&self) {
        self.committed.notify_one();
    }

    /// Which relays the next commit must wake.
    #[must_use]
    pub fn wake(&self) -> Wake {
        if self.leads_here.load(Ordering::Relaxed) { Wake::Nobody } else { Wake::EveryRelay }
    }

    /// Records whether the relay of this process leads.
    pub fn set_leads_here(&self, leads: bool) {
        self.leads_here.store(leads, Ordering::Relaxed);
    }

    /// Waits for a notification; an earlier one that no call has taken counts.
    pub async fn notified(&self) {
        self.committed.notified().await;
    }
}
