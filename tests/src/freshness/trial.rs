//! Writers and readers at once, judged as they go.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    book::Book,
    judge::{Evidence, Judge},
    reader::{Errand, Reader},
    register::Register,
    sample::Sample,
    verdict::Verdict,
    writer::Writer,
};
use crate::{
    client::Client,
    level::rows,
    pair::Pair,
    random::Random,
    wait::{RECOVERY, eventually},
};

/// How often what was read is judged.
const JUDGING_INTERVAL: Duration = Duration::from_millis(400);

/// How much is read between two faults.
const SAMPLES_BETWEEN_FAULTS: usize = 120;

/// How the writers write.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// How many there are.
    pub writers: usize,
    /// The most slots that a batch creates.
    pub batch_max: usize,
    /// Above this many slots more are deleted.
    pub slots_max: usize,
    /// Between two commands of a writer, at most.
    pub pause: Duration,
    /// How long all of them write ...
    pub burst: Duration,
    /// ... and then do not. Watermarks are sent only in silence.
    pub silence: Duration,
}

impl Writing {
    /// Many small commands, then nothing for a while.
    pub const IN_BURSTS: Self = Self {
        writers: 6,
        batch_max: 20,
        slots_max: 400,
        pause: Duration::from_millis(40),
        burst: Duration::from_millis(1100),
        silence: Duration::from_millis(1200),
    };
}

/// What happens to a consumer again and again, by its number in the pair.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is killed, and started again at once.
    Kill(usize),
    /// It is stopped, and started again after a while.
    Stop(usize),
}

/// A trial of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// How the writers write.
    pub writing: Writing,
    /// How many readers read anything.
    pub readers: usize,
    /// How many hand their receipts on from instance to instance.
    pub handing_on: usize,
    /// How many go from instance to instance without receipts.
    pub wandering: usize,
    /// What happens meanwhile.
    pub fault: Fault,
    /// Of the random choices.
    pub seed: u64,
}

/// What the tasks of a trial share.
#[derive(Clone)]
struct Shared {
    clients: Vec<Client>,
    book: Book,
    stop: CancellationToken,
    taken: Arc<AtomicUsize>,
    faults: Arc<AtomicUsize>,
}

impl Trial {
    /// Runs until the first violation, until it is `enough`, or until the deadline.
    ///
    /// # Errors
    /// An answer that no call may get here; a service that does not start again.
    pub async fn run(
        &self,
        pair: &Pair,
        deadline: Duration,
        enough: impl Fn(&Verdict) -> bool,
    ) -> Result<Verdict> {
        let shared = Shared {
            clients: pair.command_services.iter().map(|service| service.client()).collect(),
            book: Book::default(),
            stop: CancellationToken::new(),
            taken: Arc::default(),
            faults: Arc::default(),
        };
        let (tasks, samples) = self.start(&shared);
        let verdict = tokio::select! {
            verdict = conduct(pair, &shared, tasks, samples, deadline, enough) => verdict?,
            failed = self.disturb(pair, &shared) => match failed.context("in the midst of a fault")? {},
        };
        for consumer in pair.event_consumers.iter().filter(|consumer| consumer.pid().is_none()) {
            consumer.start().await?;
        }
        println!("{verdict}");
        Ok(verdict)
    }

    fn start(&self, shared: &Shared) -> (JoinSet<Result<()>>, mpsc::UnboundedReceiver<Sample>) {
        let (sender, samples) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut random = Random::new(self.seed);
        let mut next_random = || Random::new(random.below(usize::MAX) as u64);
        let begun = Instant::now();
        for _ in 0..self.writing.writers {
            let writer = Writer {
                clients: shared.clients.clone(),
                book: shared.book.clone(),
                random: next_random(),
                writing: self.writing,
                begun,
            };
            tasks.spawn(writer.run(shared.stop.clone()));
        }
        let anything = std::iter::repeat_n(Errand::Anything, self.readers);
        let handing_on = (0..self.handing_on).map(Errand::HandOn);
        let wandering = (self.handing_on..self.handing_on + self.wandering).map(Errand::Wander);
        for errand in anything.chain(handing_on).chain(wandering) {
            let reader = Reader {
                clients: shared.clients.clone(),
                book: shared.book.clone(),
                random: next_random(),
                samples: sender.clone(),
                taken: Arc::clone(&shared.taken),
                errand,
            };
            tasks.spawn(reader.run(shared.stop.clone()));
        }
        (tasks, samples)
    }

    /// Ends only by a failure.
    async fn disturb(&self, pair: &Pair, shared: &Shared) -> Result<Infallible> {
        loop {
            shared.more_samples(SAMPLES_BETWEEN_FAULTS).await?;
            match self.fault {
                Fault::None => return std::future::pending().await,
                Fault::Kill(number) => pair.event_consumers[number].kill()?,
                Fault::Stop(number) => {
                    pair.event_consumers[number].stop().await?;
                    shared.more_samples(SAMPLES_BETWEEN_FAULTS).await?;
                }
            }
            shared.faults.fetch_add(1, Ordering::Relaxed);
            let (Fault::Kill(number) | Fault::Stop(number)) = self.fault else { continue };
            pair.event_consumers[number].start().await?;
        }
    }
}

/// From now on every commit takes longer than the relay is quiet before it sends a watermark.
///
/// # Errors
/// The primary is down.
pub async fn make_commits_slow(pair: &Pair) -> Result<()> {
    let sql = "
        CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_sleep(0.9);
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER take_time AFTER INSERT ON parking_slot_events
            FOR EACH STATEMENT EXECUTE FUNCTION take_time();";
    Ok(pair.primary.sql().await?.batch_execute(sql).await?)
}

impl Shared {
    async fn more_samples(&self, more: usize) -> Result<()> {
        let goal = self.taken.load(Ordering::Relaxed) + more;
        eventually(RECOVERY, "reads are answered", async || {
            let taken = self.taken.load(Ordering::Relaxed);
            ensure!(taken >= goal, "{taken} of {goal}");
            Ok(())
        })
        .await
    }
}

/// Judges until it is over; the tasks are ended then.
async fn conduct(
    pair: &Pair,
    shared: &Shared,
    mut tasks: JoinSet<Result<()>>,
    mut samples: mpsc::UnboundedReceiver<Sample>,
    deadline: Duration,
    enough: impl Fn(&Verdict) -> bool,
) -> Result<Verdict> {
    let end = Instant::now() + deadline;
    let mut judge = Judge::default();
    let mut verdict = Verdict::default();
    loop {
        tokio::select! {
            () = sleep(JUDGING_INTERVAL) => {}
            Some(ended) = tasks.join_next() => ended.context("a client panicked")?.context("a client failed")?,
        }
        if shared.stop.is_cancelled() {
            while let Some(ended) = tasks.join_next().await {
                ended.context("a client panicked")?.context("a client failed")?;
            }
        }
        verdict.violation = judge_all(pair, shared, &mut judge, &mut samples).await?;
        verdict.checks = judge.checks;
        verdict.writes = shared.book.len();
        verdict.faults = shared.faults.load(Ordering::Relaxed);
        if verdict.violation.is_some() || tasks.is_empty() {
            return Ok(verdict);
        }
        if enough(&verdict) || Instant::now() > end {
            // What is under way is judged too.
            shared.stop.cancel();
        }
    }
}

/// Judges what has come; the first violation.
async fn judge_all(
    pair: &Pair,
    shared: &Shared,
    judge: &mut Judge,
    samples: &mut mpsc::UnboundedReceiver<Sample>,
) -> Result<Option<String>> {
    let taken: Vec<Sample> = std::iter::from_fn(|| samples.try_recv().ok()).collect();
    // After the answers: whatever they show was committed by now.
    let writes = shared.book.writes();
    let register = Register::new(rows::events(pair.primary.sql().await?.as_ref()).await?);
    let evidence = Evidence { register: &register, writes: &writes };
    let violation = taken.iter().find_map(|sample| judge.judge(sample, evidence).err());
    Ok(violation.map(|violation| format!("{violation:#}")))
}
