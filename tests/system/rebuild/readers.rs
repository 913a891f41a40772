//! Who reads during a rebuild, and must not notice it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use system_tests::{Client, Pair, Reply, eventually, random::Random};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Kept, stage_deadline};

/// What must be there throughout.
#[derive(Debug)]
struct Expected {
    batches: Vec<Kept>,
    slots: HashSet<Uuid>,
}

/// What readers have in common.
#[derive(Debug, Default)]
struct Shared {
    reads: AtomicUsize,
    walks: AtomicUsize,
    slowest: Mutex<Duration>,
    receipts: Mutex<Vec<String>>,
}

/// Readers at work. Dropping them ends them.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
}

/// What readers have seen: no error, and nothing that was not to be seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) reads: usize,
    pub(super) walks: usize,
    pub(super) slowest: Duration,
    /// The receipts of what was written meanwhile.
    pub(super) receipts: Vec<String>,
}

impl Readers {
    /// Starts `count` readers of each instance's replica. The kept slots are there throughout, but for `damaged`.
    pub(super) fn start(pair: &Pair, kept: &[Kept], damaged: &[Uuid], count: usize) -> Self {
        let all = kept.iter().flat_map(|batch| &batch.slots).map(|slot| slot.uuid);
        let slots = all.filter(|uuid| !damaged.contains(uuid)).collect();
        let expected = Arc::new(Expected { batches: kept.to_vec(), slots });
        let (shared, stop) = (Arc::new(Shared::default()), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let reader = Reader {
                client: pair.client(),
                expected: Arc::clone(&expected),
                shared: Arc::clone(&shared),
                stop: stop.clone(),
                random: Random::new(number as u64),
                as_of: None,
            };
            match number % 5 {
                0 => tasks.spawn(reader.walk()),
                1 | 2 => tasks.spawn(reader.look_up()),
                3 => tasks.spawn(reader.write_and_read()),
                _ => tasks.spawn(reader.count()),
            };
        }
        Self { shared, stop, tasks }
    }

    /// Waits until every walker can have walked once more from beginning to end, and reads went on.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        let walks = self.shared.walks.load(Ordering::Relaxed) + 2;
        let reads = self.shared.reads.load(Ordering::Relaxed) + 100;
        let (shared, tasks) = (&self.shared, &mut self.tasks);
        eventually(stage_deadline(), "readers go on", async || {
            let (done, read) = (shared.walks.load(Ordering::Relaxed), shared.reads.load(Ordering::Relaxed));
            if let Some(ended) = tasks.try_join_next() {
                // Of no use to wait on: the failure shows when they are finished.
                tasks.spawn(async { ended.context("a reader panicked")? });
                return Ok(());
            }
            ensure!(done >= walks && read >= reads, "{done} walks of {walks}, {read} reads of {reads}");
            Ok(())
        })
        .await
    }

    /// Lets every reader finish.
    pub(super) async fn finish(mut self) -> Result<Seen> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a reader panicked")??;
        }
        let receipts = std::mem::take(&mut *lock(&self.shared.receipts));
        Ok(Seen {
            reads: self.shared.reads.load(Ordering::Relaxed),
            walks: self.shared.walks.load(Ordering::Relaxed),
            slowest: *lock(&self.shared.slowest),
            receipts,
        })
    }
}

struct Reader {
    client: Client,
    expected: Arc<Expected>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    random: Random,
    /// How fresh the last answer was.
    as_of: Option<Timestamp>,
}

impl Reader {
    /// Reads, which must succeed, and never be less fresh than the read before.
    async fn read(&mut self, path: &str) -> Result<Reply> {
        let reply = self.client.get_path(path).await?.expect(200).with_context(|| path.to_owned())?;
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        let mut slowest = lock(&self.shared.slowest);
        *slowest = reply.took.max(*slowest);
        drop(slowest);
        let as_of: Option<Timestamp> = reply.header("freshness-as-of").map(str::parse).transpose()?;
        ensure!(as_of >= self.as_of, "as of {as_of:?} after {:?}: {path}", self.as_of);
        self.as_of = as_of;
        Ok(reply)
    }

    async fn walk(mut self) -> Result<()> {
        while !self.stop.is_cancelled() {
            let (mut found, mut seen) = (HashSet::new(), 0);
            let mut path = "/parking-slots?limit=1000".to_owned();
            loop {
                let body = self.read(&path).await?.body;
                for item in body["items"].as_array().context("no items")? {
                    let uuid: Uuid = item["uuid"].as_str().context("no uuid")?.parse()?;
                    if self.expected.slots.contains(&uuid) {
                        seen += 1;
                        found.insert(uuid);
                    }
                }
                let Value::String(cursor) = &body["next_cursor"] else { break };
                path = format!("/parking-slots?limit=1000&cursor={cursor}");
            }
            let expected = self.expected.slots.len();
            ensure!(
                found.len() == expected && seen == expected,
                "{seen} of {expected}, {} of them once",
                found.len()
            );
            self.shared.walks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads single slots with the receipts of long ago.
    async fn look_up(mut self) -> Result<()> {
        let expected = Arc::clone(&self.expected);
        while !self.stop.is_cancelled() {
            let batch = self.random.one_of(&expected.batches);
            let slot = self.random.one_of(&batch.slots);
            if !expected.slots.contains(&slot.uuid) {
                continue;
            }
            let path = format!("/parking-slots/{}?receipt={}&wait_ms=10000", slot.uuid, batch.receipt);
            let reply = self.read(&path).await?;
            ensure!(reply.header("freshness-result") == Some("satisfied"), "it says {:?}", reply.headers);
            ensure!(reply.slot(200)? == *slot, "another slot than {slot:?}");
        }
        Ok(())
    }

    /// Writes, and reads what was written.
    async fn write_and_read(mut self) -> Result<()> {
        while !self.stop.is_cancelled() {
            let reply = self.client.create("Written meanwhile").await?.expect(201)?;
            let receipt = reply.header("write-receipt").context("no receipt")?.to_owned();
            let slot = reply.slot(201)?;
            let path = format!("/parking-slots/{}?receipt={receipt}&wait_ms=10000", slot.uuid);
            let read = self.read(&path).await?.slot(200)?;
            ensure!(read == slot, "{slot:?} was written, and {read:?} read");
            lock(&self.shared.receipts).push(receipt);
        }
        Ok(())
    }

    async fn count(mut self) -> Result<()> {
        while !self.stop.is_cancelled() {
            let body = self.read("/parking-slots/summary").await?.body;
            let total = body["total"].as_u64().context("no total")?;
            ensure!(total >= self.expected.slots.len() as u64, "{total} slots are counted");
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
