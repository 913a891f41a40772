//! The gate: runs a query, compares the snapshot of its rows with the demand, and waits until the demand is met.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::FusedFuture};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use super::fresh::{Fresh, Freshness, Heard};
use super::{
    demand::{Bounded, Demand, Lack, Need, OnTimeout, ReplicaLevel},
    unmet::{Unmet, is_another, judge, position_of, reaches},
    waiting::Waiting,
    waiting_read::WaitingRead,
};
use crate::{
    primary::log_end::{LogEndError, LogEndHandle},
    queries::{
        replica::{Read, ReadError},
        status::{HandedBack, ReplicaStatus},
    },
    register::receipt::Receipt,
};

/// The longest `Retry-After` that a caller gets, in seconds.
const RETRY_AFTER_SECS_MAX: u32 = 60;

/// The gate. Clones share its state.
#[derive(Clone, Debug)]
pub struct Gate {
    log: LogEndHandle,
    waiting: Waiting,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Gate {
    /// Lets at most `waiters_max` reads wait at a time. Cancelling `shutdown` ends their wait.
    #[must_use]
    pub fn new(log: LogEndHandle, waiting: Waiting, waiters_max: usize, shutdown: CancellationToken) -> Self {
        Self { log, waiting, places: Arc::new(Semaphore::new(waiters_max)), shutdown }
    }

    /// Asks for the log's end.
    #[must_use]
    pub fn log(&self) -> &LogEndHandle {
        &self.log
    }

    /// Runs `query` once the replica meets the demand, or at the deadline, which counts from `arrived`. When
    /// `given_up` completes, the caller has stopped waiting: the read ends as at its deadline.
    ///
    /// # Errors
    /// [`Unmet`], at the latest when the demand's time and then a query's own are over.
    pub async fn read<T>(
        &self,
        demand: &Demand,
        arrived: Instant,
        given_up: impl Future<Output = ()>,
        query: impl AsyncFn(&HandedBack) -> Result<Read<T>, ReadError>,
    ) -> Result<Fresh<T>, Unmet> {
        let handed_back = HandedBack::of(&demand.receipts);
        if demand.is_eventual() {
            let read = tokio::select! {
                read = query(&handed_back) => read?,
                // Nobody needs the answer, and dropping the query ends it on the replica too.
                () = given_up => return Err(ReadError::Overloaded.into()),
            };
            return Ok(self.fresh(read, Freshness::Eventual, Duration::ZERO));
        }
        let need = self.need(demand, arrived).await?;
        let mut waiting_read = WaitingRead::new(need);
        let deadline = arrived + demand.wait;
        let mut given_up = pin!(given_up.fuse());
        loop {
            let (pushed, seen) = self.waiting.newest();
            let is_last_try = deadline <= Instant::now() || given_up.is_terminated();
            // A demanded write may be dead-lettered before the rest arrives: only a query tells.
            let worth_a_query = is_last_try
                || pushed.is_none_or(|it| it.last_dead_letter.is_some() && !handed_back.firsts.is_empty());
            let hinted = pushed
                .filter(|_| !worth_a_query)
                .and_then(|it| self.lack(&waiting_read, &it.level()))
                .filter(|lack| !self.is_final(*lack));
            let lack = match hinted {
                Some(lack) => lack,
                None => {
                    let asked_at = Instant::now();
                    let read = query(&handed_back).await?;
                    if read.status.dead_lettered {
                        return Err(Unmet::DeadLettered);
                    }
                    let Some(lack) = self.lack(&waiting_read, &level(&read.status)) else {
                        return Ok(self.fresh(read, Freshness::Satisfied, asked_at - arrived));
                    };
                    if self.is_final(lack) {
                        return Err(Unmet::NoAccess);
                    }
                    if is_last_try && !waiting_read.may_learn(lack) {
                        return self.too_late(demand, read, asked_at - arrived);
                    }
                    lack
                }
            };
            if waiting_read.may_learn(lack) {
                self.learn(&mut waiting_read, demand, lack).await?;
            } else {
                self.wait(&mut waiting_read, lack, seen, deadline, given_up.as_mut()).await?;
            }
        }
    }

    /// Turns the demand into positions and moments. Refuses useless receipts at once. Without access to the primary it
    /// refuses every demand for a moment too: only the primary's own clock dates a commit.
    async fn need(&self, demand: &Demand, arrived: Instant) -> Result<Need, Unmet> {
        if !self.log.has_access() && (demand.strong || demand.max_staleness.is_some()) {
            return Err(Unmet::NoAccess);
        }
        let known = self.log.known_end();
        let doubtful = demand.receipts.iter().any(|receipt| known.is_none_or(|end| !reaches(&end, receipt)));
        let end = if demand.strong || doubtful { self.log.end().await } else { Err(LogEndError::Down) };
        match &end {
            Ok(end) => judge(&demand.receipts, end)?,
            // Only the primary can say whether the receipt's epoch is over or still unknown here.
            Err(away) if self.is_foreign(&demand.receipts) => return Err((*away).into()),
            Err(_) => {}
        }
        let mut up_to: Vec<_> = demand.receipts.iter().filter_map(position_of).collect();
        if demand.strong {
            up_to.push(end?);
        }
        let bounded = demand.max_staleness.map(|staleness| Bounded {
            moment: self.log.clock().and_then(|clock| {
                clock.latest_at(arrived).checked_sub(SignedDuration::try_from(staleness).ok()?).ok()
            }),
            end: None,
        });
        Ok(Need { up_to, bounded })
    }

    /// Whether a receipt names another epoch than the last known one.
    fn is_foreign(&self, receipts: &[Receipt]) -> bool {
        let known = self.log.known_epoch();
        receipts.iter().any(|receipt| is_another(known, receipt.epoch()))
    }

    fn lack(&self, waiting_read: &WaitingRead, level: &ReplicaLevel) -> Option<Lack> {
        // Times of another epoch prove nothing, however fresh.
        if waiting_read.need.bounded.is_some() && is_another(self.log.known_epoch(), level.epoch) {
            return Some(Lack::Epoch);
        }
        let latest = self.log.clock().map(|clock| clock.latest_at(Instant::now()));
        waiting_read.need.lack(level, latest)
    }

    /// Whether only the primary could tell if waiting helps, and this process cannot ask it. A query's own snapshot has
    /// to show such a lack: a push may be older.
    fn is_final(&self, lack: Lack) -> bool {
        lack == Lack::Epoch && !self.log.has_access()
    }

    /// Asks the primary for what helps to judge the lack. If it is down, the read goes on without.
    async fn learn(&self, waiting_read: &mut WaitingRead, demand: &Demand, lack: Lack) -> Result<(), Unmet> {
        waiting_read.enter(&self.places)?;
        let end = self.log.end().await.ok();
        if lack == Lack::Epoch {
            waiting_read.rejudged = true;
            return end.map_or(Ok(()), |end| judge(&demand.receipts, &end));
        }
        waiting_read.looked = true;
        if let Some(bounded) = &mut waiting_read.need.bounded {
            bounded.end = end;
        }
        Ok(())
    }

    /// Waits until the replica may meet the lack, or time is up.
    async fn wait(
        &self,
        waiting_read: &mut WaitingRead,
        lack: Lack,
        seen: u64,
        deadline: Instant,
        given_up: Pin<&mut impl FusedFuture<Output = ()>>,
    ) -> Result<(), Unmet> {
        waiting_read.enter(&self.places)?;
        tokio::select! {
            () = self.shutdown.cancelled() => Err(Unmet::Stopping),
            () = self.waiting.until_supplied(lack, seen) => Ok(()),
            () = sleep_until(deadline) => Ok(()),
            () = given_up => Ok(()),
        }
    }

    fn too_late<T>(&self, demand: &Demand, read: Read<T>, waited: Duration) -> Result<Fresh<T>, Unmet> {
        let stale = self.fresh(read, Freshness::Stale, waited);
        match demand.on_timeout {
            OnTimeout::Stale => Ok(stale),
            OnTimeout::Fail => {
                let lag = stale.lag;
                let secs =
                    u32::try_from(lag.unwrap_or_default().as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                Err(Unmet::Behind { retry_after_secs: secs.min(RETRY_AFTER_SECS_MAX), lag })
            }
        }
    }

    fn fresh<T>(&self, read: Read<T>, freshness: Freshness, waited: Duration) -> Fresh<T> {
        let lag = read.status.as_of.map(|as_of| self.lag(as_of));
        Fresh { read, freshness, lag, waited }
    }

    /// Time since this moment by the primary's clock; never too low.
    fn lag(&self, as_of: Timestamp) -> Duration {
        // Until the service first reaches the primary, it has only its own clock.
        let now = self.log.clock().map_or_else(Timestamp::now, |clock| clock.latest_at(Instant::now()));
        Duration::try_from(now.duration_since(as_of)).unwrap_or_default()
    }

    /// The replica's last push; `None` while the watch is not connected.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        let (pushed, ago) = self.waiting.last_push()?;
        let as_of = pushed.level().as_of;
        Some(Heard { as_of, lag: as_of.map(|as_of| self.lag(as_of)), ago })
    }
}

fn level(status: &ReplicaStatus) -> ReplicaLevel {
    ReplicaLevel { applied_through: status.applied_through, as_of: status.as_of, epoch: status.epoch }
}
