//! A read whose demand is not met yet.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    demand::{Lack, Need},
    unmet::Unmet,
};

/// What a read has tried so far.
pub(super) struct WaitingRead {
    /// What it needs.
    pub(super) need: Need,
    /// Whether the read has asked for the log's end for its bounded demand.
    pub(super) looked: bool,
    /// Whether the receipts were judged again after the replica showed another epoch.
    pub(super) rejudged: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl WaitingRead {
    /// A read that has tried nothing.
    pub(super) fn new(need: Need) -> Self {
        Self { need, looked: false, rejudged: false, place: None }
    }

    /// Whether asking the primary may still help.
    pub(super) fn may_learn(&self, lack: Lack) -> bool {
        match lack {
            Lack::Epoch => !self.rejudged,
            Lack::Moment(..) => !self.looked,
            Lack::Position(_) => false,
        }
    }

    /// Takes one of the `places`, unless the read has one. Fails when none is free.
    pub(super) fn enter(&mut self, places: &Arc<Semaphore>) -> Result<(), Unmet> {
        if self.place.is_none() {
            self.place = Some(Arc::clone(places).try_acquire_owned().map_err(|_| Unmet::TooMany)?);
        }
        Ok(())
    }
}
