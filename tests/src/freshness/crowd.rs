//! Writers and followers at one address, while a test disturbs what answers there.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    book::Book,
    follower::{Chain, Follower},
    notes::{Noted, Notes},
    trial::Writing,
    writer::Writer,
};
use crate::{client::Client, random::Random};

/// Clients that write and read until [`Crowd::stop`]. The test's own thread conducts the phases.
#[derive(Debug)]
pub struct Crowd {
    runtime: Runtime,
    tasks: JoinSet<Result<()>>,
    stop: CancellationToken,
    book: Book,
    notes: Arc<Notes>,
}

impl Crowd {
    /// Starts writers and `followers` clients that read, of which every second one hands its receipts on.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn start(client: &Client, writing: Writing, followers: usize, seed: u64) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (stop, book, notes) = (CancellationToken::new(), Book::default(), Arc::<Notes>::default());
        let (mut tasks, mut random) = (JoinSet::new(), Random::new(seed));
        let mut next_random = || Random::new(random.below(usize::MAX) as u64);
        let begun = Instant::now();
        for _ in 0..writing.writers {
            let clients = vec![client.clone()];
            let writer = Writer { clients, book: book.clone(), random: next_random(), writing, begun };
            tasks.spawn_on(writer.run(stop.clone()), runtime.handle());
        }
        for number in 0..followers {
            let follower = Follower {
                client: client.clone(),
                book: book.clone(),
                random: next_random(),
                notes: Arc::clone(&notes),
                chain: (number % 2 == 0).then(|| Chain::of(number, followers)),
            };
            tasks.spawn_on(follower.run(stop.clone()), runtime.handle());
        }
        Ok(Self { runtime, tasks, stop, book, notes })
    }

    /// What was acknowledged to the writers.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Begins the next phase; the number of the first one is 0.
    pub fn next_phase(&self) {
        self.notes.next_phase();
    }

    /// How many reads of this phase gave a receipt back and were answered, not refused.
    ///
    /// # Errors
    /// A client had an answer that no call may get here, or none.
    pub fn receipts_held(&mut self) -> Result<usize> {
        if let Some(ended) = self.tasks.try_join_next() {
            ended.context("a client panicked")?.context("a client failed")?;
            bail!("a client ended by itself");
        }
        Ok(self.notes.receipts_held())
    }

    /// The reads since the last call.
    #[must_use]
    pub fn take_reads(&self) -> Vec<Noted> {
        self.notes.take()
    }

    /// Waits until each client has its last answer.
    ///
    /// # Errors
    /// As [`Crowd::receipts_held`].
    pub fn stop(&mut self) -> Result<()> {
        self.stop.cancel();
        self.runtime.block_on(async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.context("a client panicked")?.context("a client failed")?;
            }
            Ok(())
        })
    }
}
