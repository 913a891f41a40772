//! Rebuilds a replica: fills a copy with its own queue, schema and status row. When the copy is level, it takes the
//! replica's place. Until then the old state serves reads and takes events, even if the rebuild fails. The consumer
//! may run or not.

pub mod copy;
mod order;
mod outcome;
mod replica_queue;
mod follower;
mod claims;
mod course;

use std::time::Duration;

use shared::process::{backoff::Pauses, cause::cause};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    copy::{CopyStatus, Director, Swap, SwapCounts, fault::StepError},
    course::{Course, stuck},
    follower::Follower,
};
pub use self::{
    order::Rebuild,
    outcome::{RebuildError, RebuildProgress, Rebuilt},
};

/// Time between two comparisons of the copy with the replica and the log.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two tries to swap, so that sessions blocked by the first try can go on.
const SWAP_PAUSE: Duration = Duration::from_secs(1);

/// How long watermarks of another epoch than the copy's may be a stranger's.
const CONTRADICTION_PATIENCE: Duration = Duration::from_secs(2);

/// Time for tries to swap; then the rebuild fails and names the sessions in the way.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);

/// Time that a killed rebuild may keep the lock: its session ends with its last statement, or sooner.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Bound for a look at the replica.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// Bound for any other step; then the rebuild reconnects. Longer than the server's own bounds, which apply first
/// unless the server hangs.
const STEP_DEADLINE: Duration = Duration::from_secs(150);

/// Time for tries to remove the copy or the replaced state. The next rebuild removes what stays.
const CLEAR_PATIENCE: Duration = Duration::from_secs(10);

/// The result of a step.
enum Step {
    Filling,
    GaveWay,
    Swapped(SwapCounts),
}

impl Rebuild {
    /// Rebuilds the replica; waits for dependencies that are down. Ends early, between two steps, when `stop` is
    /// cancelled.
    ///
    /// # Errors
    /// [`RebuildError`]: the replica is unchanged and the copy is removed; if the replica is down, the next rebuild
    /// removes it.
    pub async fn run(
        &self,
        progress: &watch::Sender<RebuildProgress>,
        stop: &CancellationToken,
    ) -> Result<Rebuilt, RebuildError> {
        let number = Uuid::now_v7();
        let mut director = Some(self.build(number, stop).await?);
        let follower = Follower::start(self);
        let swapped = self.fill_and_swap(&mut director, number, &follower, progress, stop).await;
        follower.end().await;
        let is_cleared = self.clear(director, number).await;
        Ok(Rebuilt { counts: swapped?, is_cleared })
    }

    /// Creates the empty copy as soon as the replica is up.
    async fn build(&self, number: Uuid, stop: &CancellationToken) -> Result<Director, RebuildError> {
        let begun = Instant::now();
        let mut pauses = Pauses::new();
        while !stop.is_cancelled() {
            let fault = match Director::open(&self.replica, number).await {
                Ok(director) => match timeout(STEP_DEADLINE, director.build(&self.replica)).await {
                    Ok(Ok(())) => return Ok(director),
                    Ok(Err(error)) if !director.may_succeed_later(&error) => {
                        // A schema without a rebuild's mark stays.
                        let _ = timeout(STEP_DEADLINE, director.clear()).await;
                        return Err(error.into());
                    }
                    Ok(Err(error)) => error,
                    Err(_) => StepError::Deadline,
                },
                Err(StepError::Another) if begun.elapsed() > LOCK_PATIENCE => {
                    return Err(StepError::Another.into());
                }
                Err(error) => error,
            };
            if begun.elapsed() > self.patience {
                return Err(replica_down(&fault));
            }
            stop.run_until_cancelled(pauses.wait()).await;
        }
        Err(RebuildError::Interrupted)
    }

    async fn fill_and_swap(
        &self,
        director: &mut Option<Director>,
        number: Uuid,
        follower: &Follower,
        progress: &watch::Sender<RebuildProgress>,
        stop: &CancellationToken,
    ) -> Result<SwapCounts, RebuildError> {
        let mut course = Course::new();
        while !stop.is_cancelled() {
            let Some(open) = director else {
                if let Some(counts) = self.resume(director, number, stop).await? {
                    return Ok(counts);
                }
                course.moved_at = Instant::now();
                continue;
            };
            let step = self.take_step(open, follower, &mut course, progress);
            let pause = match timeout(STEP_DEADLINE, step).await {
                Ok(Ok(Step::Swapped(counts))) => return Ok(counts),
                Ok(Ok(Step::Filling)) => LOOK_INTERVAL,
                Ok(Ok(Step::GaveWay)) => SWAP_PAUSE,
                Ok(Err(RebuildError::Step(error))) if !open.may_succeed_later(&error) => {
                    return Err(error.into());
                }
                // The result shows on a new connection, once the server has ended this one.
                Ok(Err(RebuildError::Step(_))) | Err(_) => {
                    *director = None;
                    LOOK_INTERVAL
                }
                Ok(Err(error)) => return Err(error),
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Err(RebuildError::Interrupted)
    }

    /// Looks at the copy, and tries to swap if it is level.
    async fn take_step(
        &self,
        director: &Director,
        follower: &Follower,
        course: &mut Course,
        progress: &watch::Sender<RebuildProgress>,
    ) -> Result<Step, RebuildError> {
        let look = timeout(LOOK_DEADLINE, director.look()).await.map_err(|_| StepError::Deadline)??;
        let newest = follower.newest_watermark();
        if follower.has_met_another_epoch() {
            return Err(RebuildError::ForeignEpoch);
        }
        if look.contradicts(newest.as_ref()) {
            // One watermark may be a stranger's.
            return match course.contradicted_since.get_or_insert_with(Instant::now).elapsed() {
                elapsed if elapsed > CONTRADICTION_PATIENCE => Err(RebuildError::ForeignEpoch),
                _ => Ok(Step::Filling),
            };
        }
        course.contradicted_since = None;
        if follower.is_judging() {
            return Ok(Step::Filling);
        }
        course.claims.note(&look, newest.as_ref());
        let end = look.known_end(newest.as_ref());
        if course.claims.is_copy_false() {
            let log_end = newest.map_or(0, |told| told.position);
            return Err(RebuildError::BeyondLog { claimed: look.reach, end: log_end });
        }
        let refuted = course.claims.refuted();
        let goal = course.goal.replace(end).filter(|goal| look.is_level(*goal, refuted));
        progress.send_replace(RebuildProgress { settled: look.settled, end, is_level: goal.is_some() });
        let Some(goal) = goal else {
            course.note(&look);
            return match course.moved_at.elapsed() > self.patience {
                true => Err(stuck(&look, end, follower)),
                false => Ok(Step::Filling),
            };
        };
        course.moved_at = Instant::now();
        if !course.is_counted {
            director.count_rows().await;
            course.is_counted = true;
            return Ok(Step::Filling);
        }
        self.try_swap(director, &look, goal, course).await
    }

    async fn try_swap(
        &self,
        director: &Director,
        look: &CopyStatus,
        goal: i64,
        course: &mut Course,
    ) -> Result<Step, RebuildError> {
        let since = *course.swap_since.get_or_insert_with(Instant::now);
        if since.elapsed() > SWAP_PATIENCE.min(self.patience) {
            return Err(RebuildError::InTheWay(course.who_is_in_the_way()));
        }
        if look.replaces_another_epoch() && self.forget_other_epoch().await.is_err() {
            return Ok(Step::GaveWay);
        }
        match director.swap(goal, course.claims.refuted()).await? {
            Swap::Done => Ok(Step::Swapped(director.count().await?)),
            Swap::NotLevel => Ok(Step::GaveWay),
            Swap::InTheWay(who) => {
                tracing::info!(in_the_way = ?who, "the swap gave way");
                course.note_in_the_way(who);
                Ok(Step::GaveWay)
            }
            Swap::Changed => {
                director.carry_over().await?;
                Ok(Step::Filling)
            }
        }
    }

    /// Connects again as soon as the replica is up, and finds the result of the last step. Returns the replica's
    /// counts if that step was the swap and it succeeded.
    async fn resume(
        &self,
        director: &mut Option<Director>,
        number: Uuid,
        stop: &CancellationToken,
    ) -> Result<Option<SwapCounts>, RebuildError> {
        let lost_at = Instant::now();
        let mut pauses = Pauses::new();
        while !stop.is_cancelled() {
            let resuming = async {
                let again = Director::open(&self.replica, number).await?;
                if again.has_swapped().await? {
                    let counts = again.count().await?;
                    return Ok((again, Some(counts)));
                }
                again.must_have_copy().await?;
                Ok((again, None))
            };
            match timeout(LOOK_DEADLINE, resuming).await.unwrap_or(Err(StepError::Deadline)) {
                Ok((again, counts)) => {
                    *director = Some(again);
                    return Ok(counts);
                }
                Err(StepError::Removed) => return Err(StepError::Removed.into()),
                Err(fault) if lost_at.elapsed() > self.patience => return Err(replica_down(&fault)),
                Err(_) => {}
            }
            stop.run_until_cancelled(pauses.wait()).await;
        }
        Err(RebuildError::Interrupted)
    }

    /// Removes the copy, or the state that it replaced. False if that fails within [`CLEAR_PATIENCE`].
    async fn clear(&self, mut director: Option<Director>, number: Uuid) -> bool {
        let begun = Instant::now();
        let mut pauses = Pauses::new();
        loop {
            match director.take().filter(|open| !open.is_lost()) {
                Some(open) => match timeout(STEP_DEADLINE, open.clear()).await {
                    Ok(Ok(())) => return true,
                    Ok(Err(_)) => director = Some(open),
                    Err(_) => {}
                },
                None => director = Director::open(&self.replica, number).await.ok(),
            }
            if begun.elapsed() > CLEAR_PATIENCE {
                return false;
            }
            pauses.wait().await;
        }
    }
}

fn replica_down(fault: &StepError) -> RebuildError {
    RebuildError::Down { dependency: "the replica", cause: cause(fault) }
}
