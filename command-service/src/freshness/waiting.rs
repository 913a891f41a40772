//! The waiting reads, ordered by what they wait for. Each push from the replica wakes the reads that it may help. So a
//! waiting read holds no connection and costs no query.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use super::demand::{Lack, ReplicaLevel};

/// What the replica reports of itself after a change. A push only wakes reads; each read's own snapshot decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Pushed {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// Every write committed at or before this time is settled, in microseconds since 1970.
    pub as_of_micros: Option<i64>,
    /// The epoch in which the positions count.
    pub epoch: Option<Uuid>,
    /// The number of the newest dead letter.
    pub last_dead_letter: Option<i64>,
}

impl Pushed {
    fn as_of(&self) -> Option<Timestamp> {
        self.as_of_micros.and_then(|micros| Timestamp::from_microsecond(micros).ok())
    }

    /// How far the replica has come, by its own report.
    #[must_use]
    pub fn level(&self) -> ReplicaLevel {
        ReplicaLevel { applied_through: self.applied_through, as_of: self.as_of(), epoch: self.epoch }
    }

    fn supplies(&self, lack: &Lack) -> bool {
        match lack {
            Lack::Epoch => false,
            Lack::Position(position) => *position <= self.applied_through,
            Lack::Moment(moment, position) => {
                position.is_some_and(|position| position <= self.applied_through)
                    || moment.zip(self.as_of()).is_some_and(|(moment, as_of)| moment <= as_of)
            }
        }
    }
}

/// The waiting reads. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    pushed: Option<Pushed>,
    pushed_at: Option<Instant>,
    pushes: u64,
    newest_place: u64,
    by_position: BTreeMap<(i64, u64), Arc<Notify>>,
    by_moment: BTreeMap<(Timestamp, u64), Arc<Notify>>,
    /// The reads that wait for neither a position nor a moment.
    others: BTreeMap<u64, Arc<Notify>>,
}

impl Waiting {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last push of the replica, and the number of pushes so far.
    #[must_use]
    pub fn newest(&self) -> (Option<Pushed>, u64) {
        let places = self.places();
        (places.pushed, places.pushes)
    }

    /// The last push of the replica, and its age. `None` while the service does not hear the replica.
    #[must_use]
    pub fn last_push(&self) -> Option<(Pushed, Duration)> {
        let places = self.places();
        places.pushed.zip(places.pushed_at.map(|at| at.elapsed()))
    }

    /// Wakes the reads that this push may help. A change of epoch or a new dead letter wakes all reads.
    pub fn push(&self, pushed: Pushed) {
        let mut places = self.places();
        let before = places.pushed.replace(pushed);
        places.pushed_at = Some(Instant::now());
        places.pushes += 1;
        if before.is_none_or(|before| {
            (before.epoch, before.last_dead_letter) != (pushed.epoch, pushed.last_dead_letter)
        }) {
            return places.wake_all();
        }
        places.wake_up_to(&pushed);
    }

    /// Forgets the last push and wakes all reads, because the service no longer hears the replica.
    pub fn lose(&self) {
        let mut places = self.places();
        places.pushed = None;
        places.pushes += 1;
        places.wake_all();
    }

    /// Waits until the replica pushes something that may supply what is lacking. `seen` is the number of pushes before
    /// the query that found the lack. A push after those counts, even before this call.
    pub async fn until_supplied(&self, lack: Lack, seen: u64) {
        let place = {
            let mut places = self.places();
            let supplied = places.pushed.is_none_or(|pushed| pushed.supplies(&lack));
            if places.pushes != seen && supplied {
                return;
            }
            Place { waiting: self, lack, number: places.newest_place + 1, woken: places.enter(lack) }
        };
        place.woken.notified().await;
    }
}

impl Places {
    fn enter(&mut self, lack: Lack) -> Arc<Notify> {
        self.newest_place += 1;
        let (number, woken) = (self.newest_place, Arc::new(Notify::new()));
        match lack {
            Lack::Epoch => {
                self.others.insert(number, Arc::clone(&woken));
            }
            Lack::Position(position) => {
                self.by_position.insert((position, number), Arc::clone(&woken));
            }
            Lack::Moment(moment, position) => {
                if let Some(moment) = moment {
                    self.by_moment.insert((moment, number), Arc::clone(&woken));
                }
                if let Some(position) = position {
                    self.by_position.insert((position, number), Arc::clone(&woken));
                }
                if (moment, position) == (None, None) {
                    self.others.insert(number, Arc::clone(&woken));
                }
            }
        }
        woken
    }

    fn leave(&mut self, lack: Lack, number: u64) {
        self.others.remove(&number);
        if let Lack::Position(position) | Lack::Moment(_, Some(position)) = lack {
            self.by_position.remove(&(position, number));
        }
        if let Lack::Moment(Some(moment), _) = lack {
            self.by_moment.remove(&(moment, number));
        }
    }

    fn wake_up_to(&mut self, pushed: &Pushed) {
        let beyond = self.by_position.split_off(&(pushed.applied_through.saturating_add(1), 0));
        std::mem::replace(&mut self.by_position, beyond).values().for_each(|woken| woken.notify_one());
        if let Some(as_of) = pushed.as_of() {
            let beyond = self.by_moment.split_off(&(as_of, u64::MAX));
            std::mem::replace(&mut self.by_moment, beyond).values().for_each(|woken| woken.notify_one());
        }
    }

    fn wake_all(&mut self) {
        let all = self.by_position.values().chain(self.by_moment.values()).chain(self.others.values());
        all.for_each(|woken| woken.notify_one());
    }
}

/// A place among the waiting reads. Dropping it gives the place up.
struct Place<'w> {
    waiting: &'w Waiting,
    lack: Lack,
    number: u64,
    woken: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.places().leave(self.lack, self.number);
    }
}
