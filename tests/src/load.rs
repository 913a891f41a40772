//! Many clients at once, and what became of each of their commands.

mod history;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::history::{Asked, Entry, Fate, History};
use crate::{client::Client, random::Random, wait::eventually};

/// How long a load may take to reach a count.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(60);

/// Changes and deletes are of one of this many youngest slots, so that clients meet on them.
const HOT_SLOTS: usize = 40;

/// How long a client waits before its next command after one that was not carried out, so that it does not spin
/// while a dependency is down.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

const STATUSES: [&str; 4] = ["available", "reserved", "occupied", "blocked"];

/// How often clients ask what, in parts of the sum.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Creates.
    pub creates: usize,
    /// Changes, each to a name that is asked for only once.
    pub changes: usize,
    /// Deletes.
    pub deletes: usize,
    /// Changes that change nothing.
    pub no_changes: usize,
}

/// Mostly creates and changes.
pub const MIXED: Mix = Mix { creates: 50, changes: 35, deletes: 10, no_changes: 5 };

/// A load that runs. Dropping it stops its clients in the middle of their calls.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: CancellationToken,
    clients: JoinSet<Vec<Entry>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Tells the names of this load from those of all others.
    load: u64,
    acknowledged: AtomicUsize,
    slowest_micros: AtomicU64,
    next_name: AtomicU64,
    slots: Mutex<Vec<Uuid>>,
}

impl Load {
    /// Starts `clients` clients, shared out over `services`, who ask one command after the other.
    #[must_use]
    pub fn start(services: &[Client], clients: usize, mix: Mix, seed: u64) -> Self {
        Self::start_paced(services, clients, mix, seed, Duration::ZERO)
    }

    /// The same with a `pause` after each command, for loads that last long.
    #[must_use]
    pub fn start_paced(services: &[Client], clients: usize, mix: Mix, seed: u64, pause: Duration) -> Self {
        static LOADS: AtomicU64 = AtomicU64::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared { load, ..Shared::default() });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for (number, client) in (0..clients).zip(services.iter().cycle()) {
            let worker = Worker {
                client: client.clone(),
                mix,
                pause,
                random: Random::new(seed.wrapping_add(number as u64)),
                shared: Arc::clone(&shared),
            };
            tasks.spawn(worker.run(stop.clone()));
        }
        Self { shared, stop, clients: tasks }
    }

    /// How many commands have been acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How long the slowest command so far took, until its answer or until its client gave up.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        Duration::from_micros(self.shared.slowest_micros.load(Ordering::Relaxed))
    }

    /// Waits until `more` commands more have been acknowledged.
    ///
    /// # Errors
    /// It takes too long: the service is stuck.
    pub async fn progress(&self, more: usize) -> Result<()> {
        let goal = self.acknowledged() + more;
        eventually(PROGRESS_DEADLINE, "commands are acknowledged", async || {
            let acknowledged = self.acknowledged();
            ensure!(acknowledged >= goal, "{acknowledged} of {goal}");
            Ok(())
        })
        .await
    }

    /// Lets every client finish its command, and returns what became of all.
    ///
    /// # Errors
    /// A client panicked.
    pub async fn finish(mut self) -> Result<History> {
        self.stop.cancel();
        let mut entries = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            entries.extend(client.context("a client of the load panicked")?);
        }
        Ok(History { entries })
    }
}

struct Worker {
    client: Client,
    mix: Mix,
    pause: Duration,
    random: Random,
    shared: Arc<Shared>,
}

impl Worker {
    async fn run(mut self, stop: CancellationToken) -> Vec<Entry> {
        let mut entries = Vec::new();
        while !stop.is_cancelled() {
            let asked = self.choose();
            let fate = self.ask(&asked).await;
            match &fate {
                Fate::Done(slot) => {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    if let (Asked::Create { .. }, Some(slot)) = (&asked, slot) {
                        self.slots().push(slot.uuid);
                    }
                }
                Fate::Refused { status: 404 } => {}
                Fate::Refused { .. } | Fate::NotAsked | Fate::Unknown(_) => {
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
            entries.push(Entry { asked, fate });
            if !self.pause.is_zero() {
                stop.run_until_cancelled(tokio::time::sleep(self.pause)).await;
            }
        }
        entries
    }

    fn choose(&mut self) -> Asked {
        let mix = self.mix;
        let number = self.shared.next_name.fetch_add(1, Ordering::Relaxed);
        let status = *self.random.one_of(&STATUSES);
        let choice = self.random.below(mix.creates + mix.changes + mix.deletes + mix.no_changes);
        let Some(uuid) = self.hot_slot().filter(|_| choice >= mix.creates) else {
            return Asked::Create { name: format!("created {}.{number}", self.shared.load), status };
        };
        if choice < mix.creates + mix.changes {
            let name = format!("changed {}.{number}", self.shared.load);
            Asked::Change { uuid, name, status }
        } else if choice < mix.creates + mix.changes + mix.deletes {
            Asked::Delete { uuid }
        } else {
            Asked::ChangeNothing { uuid }
        }
    }

    fn hot_slot(&mut self) -> Option<Uuid> {
        let back = self.random.below(HOT_SLOTS);
        let slots = self.slots();
        slots.len().checked_sub(back + 1).map(|place| slots[place]).or_else(|| slots.last().copied())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Uuid>> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, asked: &Asked) -> Fate {
        let (method, path, body): (_, _, Option<Value>) = match asked {
            Asked::Create { name, status } => {
                (Method::POST, "/parking-slots".to_owned(), Some(json!({ "name": name, "status": status })))
            }
            Asked::Change { uuid, name, status } => (
                Method::PATCH,
                format!("/parking-slots/{uuid}"),
                Some(json!({ "name": name, "status": status })),
            ),
            Asked::ChangeNothing { uuid } => {
                (Method::PATCH, format!("/parking-slots/{uuid}"), Some(json!({})))
            }
            Asked::Delete { uuid } => (Method::DELETE, format!("/parking-slots/{uuid}"), None),
        };
        let asked_at = Instant::now();
        let answer = self.client.try_call(method, &path, body).await;
        let took = u64::try_from(asked_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.slowest_micros.fetch_max(took, Ordering::Relaxed);
        Fate::of(answer)
    }
}
