//! Repairs: sent to the replica's queue, and looked for until they are done.

use std::{collections::HashMap, time::Duration};

use shared::{
    broker::BrokerUrl,
    messages::repair::{REPAIR_MAX_SLOTS, Repair, RowWriters, SlotRepair},
    process::backoff::Pauses,
    replica_name::ReplicaName,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{comparison::Comparison, difference::SlotDifference, error::VerifyError, look::LOOK_SLOTS_MAX};
use crate::relay::publisher::{PublishError, Publisher};

/// How long nothing may get better before what is still wrong is sent for again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many slots one message repairs, the first time, the second time and so on; then it is given up. A slot that the
/// replica refuses must not keep others from being healed: in the end each is sent for alone.
const SLOTS_BY_TRY: [usize; 4] = [REPAIR_MAX_SLOTS, 16, 1, 1];

/// The most messages that are unconfirmed.
const UNCONFIRMED_MAX: usize = 64;

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepairOutcome {
    /// It was gone before anything was done: an event had healed it.
    Vanished,
    /// It is gone.
    Healed,
    /// It is still there.
    Left,
}

/// A slot that is to be repaired.
struct Case {
    difference: SlotDifference,
    tries: usize,
    /// What was found when a repair was last sent.
    sent: Option<RowWriters>,
    outcome: Option<RepairOutcome>,
}

/// Who sends repairs.
#[derive(Debug)]
pub(super) struct Repairer<'m> {
    comparison: &'m Comparison,
    publisher: Publisher,
    replica: &'m ReplicaName,
}

impl<'m> Repairer<'m> {
    /// Connects.
    pub(super) async fn open(
        comparison: &'m Comparison,
        broker: &BrokerUrl,
        replica: &'m ReplicaName,
    ) -> Result<Self, VerifyError> {
        let publisher = Publisher::open(broker, "verify").await.map_err(PublishError::from)?;
        Ok(Self { comparison, publisher, replica })
    }

    pub(super) async fn close(self) {
        self.publisher.close().await;
    }

    /// Sends repairs until each slot is as it must be, or was sent for as often as it may be. Bounded: whatever gets no
    /// better for [`PATIENCE`] is sent for once more.
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

    /// Has the summary counted anew until it is right, or was asked for as often as it may be.
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
    /// Takes note of what is still wrong, if anything is. Returns the repair that is to be sent, and how many slots its
    /// message may have.
    fn next(&mut self, still: Option<SlotDifference>, is_overdue: bool) -> Option<(usize, SlotRepair)> {
        let Some(still) = still else {
            self.outcome =
                Some(if self.tries == 0 { RepairOutcome::Vanished } else { RepairOutcome::Healed });
            return None;
        };
        let repair = still.repair();
        // It shows what is there in the end; what was healed shows what had been there.
        if repair.is_none() || self.tries == 0 {
            self.difference = still;
        }
        let Some(repair) = repair else {
            self.outcome = Some(RepairOutcome::Left);
            return None;
        };
        // Something else is there than what was found: that repair changes nothing any more.
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
