//! Sends repairs to the replica's queue and checks their effect.

use std::{collections::HashMap, time::Duration};

use shared::{
    broker::Broker,
    messages::repair::{REPAIR_MAX_SLOTS, Repair, RowWriters, SlotRepair},
    process::backoff::Pauses,
    replica_name::ReplicaName,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{comparison::Comparison, difference::SlotDifference, error::VerifyError, look::LOOK_SLOTS_MAX};
use crate::relay::publisher::{PublishError, Publisher};

/// Time without progress after which `verify` sends the repairs that are still needed again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most slots in one message, by attempt; after the last attempt `verify` gives the slot up. A slot that
/// the replica refuses must not keep the others in its message from being healed. So the last attempts send
/// each slot alone.
const SLOTS_BY_TRY: [usize; 4] = [REPAIR_MAX_SLOTS, 16, 1, 1];

/// The most unconfirmed messages at any time.
const UNCONFIRMED_MAX: usize = 64;

/// The outcome for one difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepairOutcome {
    /// The difference was gone before any repair was sent: an event had healed it.
    Vanished,
    /// The difference is gone after a repair.
    Healed,
    /// The difference is still there.
    Left,
}

/// A slot to repair.
struct Case {
    difference: SlotDifference,
    tries: usize,
    /// The writers found when a repair was last sent.
    sent: Option<RowWriters>,
    outcome: Option<RepairOutcome>,
}

/// Sends repairs to one replica.
#[derive(Debug)]
pub(super) struct Repairer<'m> {
    comparison: &'m Comparison,
    publisher: Publisher,
    replica: &'m ReplicaName,
}

impl<'m> Repairer<'m> {
    /// Connects to the broker.
    pub(super) async fn open(
        comparison: &'m Comparison,
        broker: &Broker,
        replica: &'m ReplicaName,
    ) -> Result<Self, VerifyError> {
        let publisher = Publisher::open(broker, "verify").await.map_err(PublishError::from)?;
        Ok(Self { comparison, publisher, replica })
    }

    pub(super) async fn close(self) {
        self.publisher.close().await;
    }

    /// Sends repairs until each slot is right or has used up its attempts. The loop ends: after [`PATIENCE`]
    /// without progress, each open slot uses one more attempt.
    pub(super) async fn repair_slots(
        &self,
        differences: Vec<SlotDifference>,
    ) -> Result<Vec<(SlotDifference, RepairOutcome)>, VerifyError> {
        let case = |difference| Case { difference, tries: 0, sent: None, outcome: None };
        let mut cases: Vec<Case> = differences.into_iter().map(case).collect();
        let (mut better_at, mut pauses) = (Instant::now(), Pauses::new());
        loop {
            let is_overdue = better_at.elapsed() >= PATIENCE;
            let (mut repairs, mut ended) = (Vec::new(), 0);
            let mut open: Vec<&mut Case> = cases.iter_mut().filter(|case| case.outcome.is_none()).collect();
            if open.is_empty() {
                return Ok(cases
                    .into_iter()
                    .filter_map(|case| Some((case.difference, case.outcome?)))
                    .collect());
            }
            for part in open.chunks_mut(LOOK_SLOTS_MAX) {
                let mut still = self.look_at(part).await?;
                for case in part {
                    repairs.extend(case.next(still.remove(&case.difference.uuid), is_overdue));
                    ended += usize::from(case.outcome.is_some());
                }
            }
            if ended > 0 || !repairs.is_empty() {
                (better_at, pauses) = (Instant::now(), Pauses::new());
            }
            self.send(repairs).await?;
            pauses.wait().await;
        }
    }

    async fn look_at(&self, cases: &[&mut Case]) -> Result<HashMap<Uuid, SlotDifference>, VerifyError> {
        let uuids: Vec<Uuid> = cases.iter().map(|case| case.difference.uuid).collect();
        let still = self.comparison.exactly(&uuids).await?;
        Ok(still.into_iter().map(|difference| (difference.uuid, difference)).collect())
    }

    async fn send(&self, repairs: Vec<(usize, SlotRepair)>) -> Result<(), VerifyError> {
        let mut by_size: HashMap<usize, Vec<SlotRepair>> = HashMap::new();
        for (slots_max, repair) in repairs {
            by_size.entry(slots_max).or_default().push(repair);
        }
        for (slots_max, slots) in by_size {
            self.publish(&Repair::of_slots(self.comparison.epoch, slots).encode(slots_max)).await?;
        }
        Ok(())
    }

    async fn publish(&self, bodies: &[Vec<u8>]) -> Result<(), VerifyError> {
        for part in bodies.chunks(UNCONFIRMED_MAX) {
            self.publisher.publish_repairs(part, self.replica).await?;
        }
        Ok(())
    }

    /// Asks the replica to recount the summary until it is right or the attempts are used up.
    pub(super) async fn repair_summary(&self) -> Result<bool, VerifyError> {
        for _ in SLOTS_BY_TRY {
            self.publish(&Repair::of_summary(self.comparison.epoch).encode(REPAIR_MAX_SLOTS)).await?;
            let (asked_at, mut pauses) = (Instant::now(), Pauses::new());
            while asked_at.elapsed() < PATIENCE {
                pauses.wait().await;
                if self.comparison.summary().await?.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Case {
    /// Takes the result of the latest check: `None` if nothing is wrong any more. Returns the repair to send,
    /// and how many slots its message may have.
    fn next(&mut self, still: Option<SlotDifference>, is_overdue: bool) -> Option<(usize, SlotRepair)> {
        let Some(still) = still else {
            self.outcome =
                Some(if self.tries == 0 { RepairOutcome::Vanished } else { RepairOutcome::Healed });
            return None;
        };
        let repair = still.repair();
        // A difference that no repair can heal shows its latest state; any other, its state before the first
        // repair.
        if repair.is_none() || self.tries == 0 {
            self.difference = still;
        }
        let Some(repair) = repair else {
            self.outcome = Some(RepairOutcome::Left);
            return None;
        };
        // The row or the tombstone was written since, so the last repair can no longer change anything.
        let is_stale = self.sent != Some(repair.found);
        if self.tries > 0 && !is_stale && !is_overdue {
            return None;
        }
        let Some(&slots_max) = SLOTS_BY_TRY.get(self.tries) else {
            self.outcome = Some(RepairOutcome::Left);
            return None;
        };
        (self.tries, self.sent) = (self.tries + 1, Some(repair.found));
        Some((slots_max, repair))
    }
}
