//! The searches that wait for a searcher.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    asked::Asked,
    list::{Page, PageQuery},
    read_error::ReadError,
};

/// Searches that may wait; one more is refused.
const WAITING_MAX: usize = 64;

/// The searches that wait, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Searches {
    waiting: Mutex<VecDeque<Search>>,
    arrived: Notify,
}

/// A page with a filter that somebody asks for.
pub(super) type Search = Asked<PageQuery, Page>;

impl Searches {
    /// Adds a search.
    ///
    /// # Errors
    /// Too many wait already.
    pub(super) fn add(&self, search: Search) -> Result<(), ReadError> {
        let mut waiting = self.lock();
        waiting.retain(|search| !search.reply.is_closed());
        if waiting.len() >= WAITING_MAX {
            return Err(ReadError::Overloaded);
        }
        waiting.push_back(search);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for a search; takes it and all equal ones, whose callers get the same answer.
    pub(super) async fn next(&self) -> Vec<Search> {
        loop {
            let taken = self.take();
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Vec<Search> {
        let mut waiting = self.lock();
        waiting.retain(|search| !search.reply.is_closed());
        let Some(first) = waiting.pop_front() else { return Vec::new() };
        let (equal, others) =
            waiting.drain(..).partition::<VecDeque<_>, _>(|other| other.query == first.query);
        *waiting = others;
        if !waiting.is_empty() {
            // The wake of one searcher may stand for several searches.
            self.arrived.notify_one();
        }
        std::iter::once(first).chain(equal).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Search>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
