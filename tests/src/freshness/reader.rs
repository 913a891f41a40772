//! Who reads: with every demand, on everything that can be read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{sync::mpsc::UnboundedSender, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    book::{Book, Write},
    sample::{Answer, Claim, Demand, Sample, Scope, Shown},
    writer::GROUPS,
};
use crate::{client::Client, random::Random};

/// The most slots that a page of the list has.
const WHOLE: usize = 1000;

/// The pages of who reads page by page.
const SMALL: usize = 60;

/// A demand is mostly of one of this many last writes: the others have long arrived.
const RECENT_WRITES: usize = 25;

/// Between two reads of a reader, so that judging them keeps up.
const PAUSE_MAX_MS: usize = 60;

const STALENESSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(250), Duration::from_millis(1500)];

const WAITS: [Option<Duration>; 6] = [
    None,
    Some(Duration::ZERO),
    Some(Duration::from_millis(40)),
    Some(Duration::from_millis(400)),
    Some(Duration::from_millis(3000)),
    Some(Duration::from_millis(3000)),
];

pub(super) struct Reader {
    pub(super) clients: Vec<Client>,
    pub(super) book: Book,
    pub(super) random: Random,
    pub(super) samples: UnboundedSender<Sample>,
    pub(super) taken: Arc<AtomicUsize>,
    pub(super) errand: Errand,
}

/// What a reader is after.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// Anything, each read by itself.
    Anything,
    /// One read after the other, each at the next instance with the receipt of the one before.
    HandOn(usize),
    /// The same without receipts.
    Wander(usize),
}

impl Reader {
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let mut read_receipt = None;
        let mut turn = 0;
        while !stop.is_cancelled() {
            turn += 1;
            match self.errand {
                Errand::Anything => self.read_anything().await?,
                Errand::HandOn(sequence) => {
                    let wait = Some(Duration::from_secs(3));
                    let demand = Demand { read_receipt: read_receipt.clone(), wait, ..Demand::default() };
                    let sample = self.read_in_turn(turn, demand, sequence).await?;
                    if let Some(receipt) = sample {
                        read_receipt = Some(receipt);
                    }
                }
                Errand::Wander(sequence) => {
                    self.read_in_turn(turn, Demand::default(), sequence).await?;
                }
            }
            let pause = Duration::from_millis(self.random.below(PAUSE_MAX_MS) as u64);
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    async fn read_in_turn(&mut self, turn: usize, demand: Demand, sequence: usize) -> Result<Option<String>> {
        let client = self.clients[turn % self.clients.len()].clone();
        let scope = match self.random.below(4) {
            0 => Scope::Page { name: None, after: None, limit: WHOLE },
            1 => self.group(),
            _ => self.recent_slot().map_or(Scope::Summary, Scope::One),
        };
        let sample = Sample::take(&client, scope, demand, Some(sequence)).await?;
        let receipt = sample.outcome.as_ref().ok().map(|answer| answer.receipt.clone());
        self.send(sample);
        Ok(receipt)
    }

    async fn read_anything(&mut self) -> Result<()> {
        let client = self.random.one_of(&self.clients).clone();
        let demand = self.choose_demand(&client).await?;
        let scope = self.choose_scope(&demand);
        let mut sample = Sample::take(&client, scope, demand.clone(), None).await?;
        while let (Scope::Page { limit: SMALL, name, .. }, Some(next)) = (&sample.scope, next_page(&sample)) {
            let scope = Scope::Page { name: name.clone(), after: Some(next), limit: SMALL };
            let next = Sample::take(&client, scope, demand.clone(), None).await?;
            self.send(std::mem::replace(&mut sample, next));
        }
        self.send(sample);
        Ok(())
    }

    fn send(&self, sample: Sample) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more when the trial ends.
        let _ = self.samples.send(sample);
    }

    async fn choose_demand(&mut self, client: &Client) -> Result<Demand> {
        let choice = self.random.below(100);
        let mut demand = Demand::default();
        if choice < 8 {
            demand.said_applied = self.write_said_to_be_applied(client).await?;
            return Ok(demand);
        }
        if choice < 20 {
            return Ok(demand);
        }
        if !(60..92).contains(&choice) {
            let several = if self.random.below(4) == 0 { 2 + self.random.below(15) } else { 1 };
            demand.writes = (0..several).filter_map(|_| self.recent_write()).collect();
        }
        demand.strong = (60..76).contains(&choice) || choice >= 96;
        if (76..96).contains(&choice) {
            demand.staleness = Some(*self.random.one_of(&STALENESSES));
        }
        demand.wait = *self.random.one_of(&WAITS);
        demand.or_stale = self.random.below(5) == 0;
        Ok(demand)
    }

    async fn write_said_to_be_applied(&mut self, client: &Client) -> Result<Option<Arc<Write>>> {
        let Some(write) = self.recent_write() else { return Ok(None) };
        let said = client.get_path(&format!("/receipts/{}", write.receipt)).await?;
        if said.status.as_u16() == 503 {
            return Ok(None);
        }
        let said = said.expect(200)?.body;
        Ok((said["state"] == "applied").then_some(write))
    }

    fn recent_write(&mut self) -> Option<Arc<Write>> {
        let bound = if self.random.below(10) == 0 { self.book.len().max(1) } else { RECENT_WRITES };
        self.book.back(self.random.below(bound))
    }

    fn recent_slot(&mut self) -> Option<Uuid> {
        let write = self.recent_write()?;
        Some(self.random.one_of(&write.slots).0)
    }

    /// Mostly what the demand is about.
    fn choose_scope(&mut self, demand: &Demand) -> Scope {
        let choice = self.random.below(20);
        let write = demand.writes.first().or(demand.said_applied.as_ref()).cloned();
        let slot = match &write {
            Some(write) => Some(self.random.one_of(&write.slots).0),
            None => self.recent_slot(),
        };
        match (slot, choice) {
            (Some(uuid), 0..8) => Scope::One(uuid),
            (_, 8..10) => Scope::Summary,
            (_, 10..12) => Scope::Page { name: None, after: None, limit: SMALL },
            (_, 12..16) => self.group(),
            _ => Scope::Page { name: None, after: None, limit: WHOLE },
        }
    }

    fn group(&mut self) -> Scope {
        let group = self.random.below(GROUPS);
        Scope::Page { name: Some(format!("bay {group} ")), after: None, limit: WHOLE }
    }
}

/// Where the page after this one begins.
fn next_page(sample: &Sample) -> Option<(super::register::Place, String)> {
    let Ok(Answer { claim: Claim::Eventual | Claim::Satisfied, shown, next_cursor, .. }) = &sample.outcome
    else {
        return None;
    };
    match shown {
        Shown::Slots(_, end) => (*end).zip(next_cursor.clone()),
        Shown::Counts(_) => None,
    }
}
