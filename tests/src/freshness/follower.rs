//! A client that reads one slot at a time, with the receipts that it has.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    book::Book,
    notes::Notes,
    sample::{Demand, Sample, Scope},
};
use crate::{client::Client, random::Random};

/// A read is mostly of a slot of one of this many last writes: the others have long arrived.
const RECENT_WRITES: usize = 25;

/// Between two reads, so that the machine also gets to the writes.
const PAUSE_MAX_MS: usize = 60;

/// How many reads hand their receipts on before the client begins again without one.
const CHAIN_LENGTH: usize = 50;

const STALENESSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(250), Duration::from_millis(1500)];

/// Short ones, so that a lagging replica does not stop the client. One read in 16 waits for the default of 2 s.
const WAITS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];

pub(super) struct Follower {
    pub(super) client: Client,
    pub(super) book: Book,
    pub(super) random: Random,
    pub(super) notes: Arc<Notes>,
    /// Present if each read carries the receipt of the one before.
    pub(super) chain: Option<Chain>,
}

/// Reads of which each carries the receipt of the one before.
pub(super) struct Chain {
    /// The number of the chain, among all chains of all clients.
    sequence: usize,
    /// The chain after it has this much more.
    stride: usize,
    length: usize,
    receipt: Option<String>,
    slot: Option<Uuid>,
}

impl Chain {
    /// The chains of one client of `clients`: their numbers are no other client's.
    pub(super) fn of(client: usize, clients: usize) -> Self {
        Self { sequence: client, stride: clients, length: 0, receipt: None, slot: None }
    }

    /// Begins another chain when this one is long enough.
    fn go_on(&mut self) {
        if self.length >= CHAIN_LENGTH {
            *self = Self { sequence: self.sequence + self.stride, length: 0, receipt: None, ..*self };
        }
    }
}

impl Follower {
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            if let Some(slot) = self.choose_slot() {
                self.read(slot).await?;
            }
            let pause = Duration::from_millis(self.random.below(PAUSE_MAX_MS) as u64);
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    /// A chain mostly stays at its slot.
    fn choose_slot(&mut self) -> Option<Uuid> {
        let stays = self.random.below(5) < 3;
        if let Some(slot) = self.chain.as_ref().and_then(|chain| chain.slot).filter(|_| stays) {
            return Some(slot);
        }
        let write = self.book.back(self.random.below(RECENT_WRITES))?;
        Some(self.random.one_of(&write.slots).0)
    }

    async fn read(&mut self, slot: Uuid) -> Result<()> {
        let demand = if self.chain.is_some() { self.demand_in_chain(slot) } else { self.demand_alone(slot) };
        let sequence = self.chain.as_ref().map(|chain| chain.sequence);
        let phase = self.notes.phase();
        let sample = Sample::take(&self.client, Scope::One(slot), demand, sequence).await?;
        if let (Some(chain), Ok(answer)) = (&mut self.chain, &sample.outcome) {
            chain.slot = Some(slot);
            chain.receipt = Some(answer.receipt.clone());
            chain.length += 1;
        }
        self.notes.note(phase, sample);
        Ok(())
    }

    /// The receipt of the last read, and now and then another demand with it. `on_timeout=stale` would break the chain: a
    /// stale answer may be older than the read before.
    fn demand_in_chain(&mut self, slot: Uuid) -> Demand {
        let read_receipt = self.chain.as_mut().and_then(|chain| {
            chain.go_on();
            chain.receipt.clone()
        });
        let mut demand = Demand { read_receipt, ..Demand::default() };
        if demand.read_receipt.is_some() {
            match self.random.below(100) {
                0..25 => demand.writes.extend(self.book.newest(slot)),
                25..32 => demand.strong = true,
                32..40 => demand.staleness = Some(*self.random.one_of(&STALENESSES)),
                _ => {}
            }
            demand.wait = self.choose_wait();
        }
        demand
    }

    fn demand_alone(&mut self, slot: Uuid) -> Demand {
        let choice = self.random.below(100);
        let mut demand = Demand::default();
        if choice >= 90 {
            return demand;
        }
        if choice < 50 {
            demand.writes.extend(self.book.newest(slot));
        }
        demand.strong = (45..65).contains(&choice);
        if (65..90).contains(&choice) {
            demand.staleness = Some(*self.random.one_of(&STALENESSES));
        }
        demand.wait = self.choose_wait();
        demand.or_stale = self.random.below(8) == 0;
        demand
    }

    fn choose_wait(&mut self) -> Option<Duration> {
        let default = self.random.below(16) == 0;
        let wait = *self.random.one_of(&WAITS);
        (!default).then_some(wait)
    }
}
