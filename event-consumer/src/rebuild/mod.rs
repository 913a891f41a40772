//! A rebuild: a second replica beside the first, with its own queue, schema and status row, which takes the first one's
//! place when it is level. Until then, and whatever ends the rebuild, the old state is what is read and what events are
//! applied to; the consumer may run or not.

mod follower;

use std::time::Duration;

use shared::{
    broker::{BrokerError, BrokerUrl, within_deadline},
    postgres::DatabaseUrl,
    retry::Pauses,
    topology::{ReplicaName, delete_replica_queue},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::follower::Follower;
use crate::projection::rebuild::{Counts, Director, Look, StepError, Swap};

/// How often the copy is compared with the replica and the log.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Between two tries to swap: whoever was held up by the first one gets on meanwhile.
const SWAP_PAUSE: Duration = Duration::from_secs(1);

/// How long tries to swap go on before somebody has to see to who is in the way.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);

/// How long a rebuild that was killed may still hold the lock: its session ends with its last statement, or sooner.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How long is tried to remove what was built, or replaced. The next rebuild removes what stays.
const CLEAR_PATIENCE: Duration = Duration::from_secs(10);

/// What is rebuilt, and from where.
#[derive(Clone, Debug)]
pub struct Rebuild {
    /// Where events come from.
    pub broker: BrokerUrl,
    /// The database of the replica, and of the copy.
    pub replica: DatabaseUrl,
    /// Whose copy is made.
    pub replica_name: ReplicaName,
    /// How long is waited while nothing moves.
    pub patience: Duration,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many positions the copy has.
    pub settled: i64,
    /// How many there are, as far as is known.
    pub end: i64,
    /// Whether the copy is level and tries to take the replica's place.
    pub is_level: bool,
}

/// What a rebuild has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// What the replica holds now.
    pub counts: Counts,
    /// Whether what was replaced is gone, too.
    pub is_cleared: bool,
}

/// Why the replica is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A step failed in a way that waiting does not mend.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nothing has moved for too long, because of this part.
    #[error("{0} is away")]
    Away(&'static str),
    /// The events are not all of one life of the primary.
    #[error("the primary was restored or replaced meanwhile: rebuild again")]
    ForeignEpoch,
    /// The replica says that it has what the log does not have.
    #[error("the replica claims to hold positions up to {claimed}, and the log ends at {end}")]
    BeyondLog {
        /// The highest position that it claims.
        claimed: i64,
        /// The last one of the log.
        end: i64,
    },
    /// The swap could not get the locks that it needs.
    #[error("the copy is level, but cannot take the replica's place; in the way: {0}")]
    InTheWay(String),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What the loop remembers from one look to the next.
struct Course {
    /// What was known to be there at the last look, which the copy must have at the next one.
    goal: Option<i64>,
    settled: i64,
    moved_at: Instant,
    is_counted: bool,
    swap_since: Option<Instant>,
    in_the_way: Vec<String>,
}

impl Rebuild {
    /// Rebuilds the replica. Parts that are away are waited for. Ends early, between two steps, when `stop` is cancelled.
    ///
    /// # Errors
    /// [`RebuildError`]: the replica is as it was, and what was built is gone, unless the replica is away: then the
    /// next rebuild removes it.
    pub async fn run(
        &self,
        progress: &watch::Sender<Progress>,
        stop: &CancellationToken,
    ) -> Result<Rebuilt, RebuildError> {
        let number = Uuid::now_v7();
        let mut director = self.build(number, stop).await?;
        let follower = Follower::start(self);
        let swapped = self.fill_and_swap(&mut director, &follower, progress, stop).await;
        follower.end().await;
        let is_cleared = self.clear(director, number).await;
        Ok(Rebuilt { counts: swapped?, is_cleared })
    }

    /// Makes the empty copy, when the replica is there.
    async fn build(&self, number: Uuid, stop: &CancellationToken) -> Result<Director, RebuildError> {
        let begun = Instant::now();
        let mut pauses = Pauses::new();
        while !stop.is_cancelled() {
            match Director::open(&self.replica, number).await {
                Ok(director) => match director.build(&self.replica).await {
                    Ok(()) => return Ok(director),
                    Err(error) if director.may_succeed_later(&error) => {}
                    Err(error) => {
                        // A stranger's schema stays.
                        let _ = director.clear().await;
                        return Err(error.into());
                    }
                },
                Err(StepError::Another) if begun.elapsed() > LOCK_PATIENCE => {
                    return Err(StepError::Another.into());
                }
                Err(_) => {}
            }
            if begun.elapsed() > self.patience {
                return Err(RebuildError::Away("the replica"));
            }
            stop.run_until_cancelled(pauses.wait()).await;
        }
        Err(RebuildError::Interrupted)
    }

    async fn fill_and_swap(
        &self,
        director: &mut Director,
        follower: &Follower,
        progress: &watch::Sender<Progress>,
        stop: &CancellationToken,
    ) -> Result<Counts, RebuildError> {
        let mut course = Course::new();
        while !stop.is_cancelled() {
            let pause = match self.take_step(director, follower, &mut course, progress).await {
                Ok(Step::Swapped(counts)) => return Ok(counts),
                Ok(Step::Filling) => LOOK_INTERVAL,
                Ok(Step::GaveWay) => SWAP_PAUSE,
                Err(RebuildError::Step(error)) if director.may_succeed_later(&error) => {
                    match self.resume(director, &mut course, stop).await? {
                        Some(counts) => return Ok(counts),
                        None => LOOK_INTERVAL,
                    }
                }
                Err(error) => return Err(error),
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Err(RebuildError::Interrupted)
    }

    /// Looks, and tries to swap if the copy is level.
    async fn take_step(
        &self,
        director: &Director,
        follower: &Follower,
        course: &mut Course,
        progress: &watch::Sender<Progress>,
    ) -> Result<Step, RebuildError> {
        let look = director.look().await?;
        let newest = follower.newest_watermark();
        if look.contradicts(newest.as_ref()) || follower.has_met_another_epoch() {
            return Err(RebuildError::ForeignEpoch);
        }
        let known_end = look.known_end(newest.as_ref());
        let goal = course.goal.replace(known_end).filter(|goal| look.is_level(*goal));
        let held_end = if look.replaces_another_epoch() { 0 } else { look.held_reach };
        let end = known_end.max(held_end);
        progress.send_replace(Progress { settled: look.settled, end, is_level: goal.is_some() });
        let Some(goal) = goal else {
            course.note(&look);
            return match course.moved_at.elapsed() > self.patience {
                true => Err(stuck(&look, known_end, follower)),
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
        look: &Look,
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
        match director.swap(goal).await? {
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

    /// What waits in the replica's queue may be of the life that the rebuild leaves behind, which nothing could apply any
    /// more. What else is lost with it is asked for again. Before the swap: a rebuild that is killed between the two
    /// has only lost what the old state does not take either.
    async fn forget_other_epoch(&self) -> Result<(), BrokerError> {
        let connection = self.broker.connect("rebuild").await?;
        let channel = within_deadline(connection.create_channel()).await?;
        within_deadline(delete_replica_queue(&channel, &self.replica_name)).await?;
        within_deadline(connection.close(200, "done".into())).await
    }

    /// Connects again, when the replica is there. What the last step came to shows then: if it was the swap, and it was
    /// carried out, what the replica holds.
    async fn resume(
        &self,
        director: &mut Director,
        course: &mut Course,
        stop: &CancellationToken,
    ) -> Result<Option<Counts>, RebuildError> {
        if !director.is_lost() {
            return Ok(None);
        }
        let lost_at = Instant::now();
        let mut pauses = Pauses::new();
        while !stop.is_cancelled() {
            let resumed = async {
                let again = Director::open(&self.replica, director.number()).await?;
                if again.has_swapped().await? {
                    let counts = again.count().await?;
                    return Ok((again, Some(counts)));
                }
                again.must_have_copy().await?;
                Ok((again, None))
            };
            match resumed.await {
                Ok((again, counts)) => {
                    *director = again;
                    course.moved_at = Instant::now();
                    return Ok(counts);
                }
                Err(StepError::Removed) => return Err(StepError::Removed.into()),
                Err(_) if lost_at.elapsed() > self.patience => return Err(RebuildError::Away("the replica")),
                Err(_) => {}
            }
            stop.run_until_cancelled(pauses.wait()).await;
        }
        Err(RebuildError::Interrupted)
    }

    /// Removes the copy, or what it has replaced. False if that could not be done now.
    async fn clear(&self, director: Director, number: Uuid) -> bool {
        let begun = Instant::now();
        let mut pauses = Pauses::new();
        let mut director = Some(director);
        loop {
            if let Some(open) = director.take().filter(|open| !open.is_lost()) {
                if open.clear().await.is_ok() {
                    return true;
                }
                director = Some(open);
            } else {
                director = Director::open(&self.replica, number).await.ok();
            }
            if begun.elapsed() > CLEAR_PATIENCE {
                return false;
            }
            pauses.wait().await;
        }
    }
}

/// What a step came to.
enum Step {
    Filling,
    GaveWay,
    Swapped(Counts),
}

impl Course {
    fn new() -> Self {
        Self {
            goal: None,
            settled: 0,
            moved_at: Instant::now(),
            is_counted: false,
            swap_since: None,
            in_the_way: Vec::new(),
        }
    }

    fn note(&mut self, look: &Look) {
        if self.settled != look.settled {
            self.settled = look.settled;
            self.moved_at = Instant::now();
        }
    }

    /// Who was there at two tries in a row stays; others come and go.
    fn note_in_the_way(&mut self, who: Vec<String>) {
        let stayed: Vec<_> = who.iter().filter(|one| self.in_the_way.contains(one)).cloned().collect();
        self.in_the_way = if stayed.is_empty() { who } else { stayed };
    }

    fn who_is_in_the_way(&self) -> String {
        match self.in_the_way.is_empty() {
            true => "more is written than the copy takes".to_owned(),
            false => self.in_the_way.join(", "),
        }
    }
}

/// Why nothing moves.
fn stuck(look: &Look, known_end: i64, follower: &Follower) -> RebuildError {
    let is_whole = look.epoch.is_some() && look.through >= known_end;
    let told = follower.newest_watermark().is_some_and(|newest| newest.position < look.held_reach);
    if is_whole && told && !look.holds_all {
        return RebuildError::BeyondLog { claimed: look.held_reach, end: known_end };
    }
    RebuildError::Away(follower.part_away())
}
