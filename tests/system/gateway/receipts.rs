//! Receipts hold whichever process answers: a gateway, two query processes and two replicas under load, while one after
//! the other fails.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::{
    Part, Postgres,
    process::{Process, Signal},
    wait,
};
use system_tests::{
    Client, RECOVERY, eventually,
    freshness::{
        Checks, Crowd, Ledger, Writing,
        book::Told,
        judge::Judge,
        sample::{Claim, Demand, Refusal, Sample, Shown},
    },
    level::{EventRow, Everything, rows},
    random::seed,
    scale::{scale, scaled},
    service::Address,
};
use tokio_postgres::NoTls;

use super::scaled::Scaled;

/// How many reads with a receipt are answered in each phase, times the scale. A fault lasts for the first half of them.
const READS: usize = 2_000;

const FOLLOWERS: usize = 32;

/// A pause is at least so long: the deadlines of reads pass in it.
const PAUSED_FOR: Duration = Duration::from_secs(6);

const POLL: Duration = Duration::from_millis(20);

const WRITING: Writing = Writing {
    writers: 4,
    batch_max: 1,
    slots_max: 200,
    pause: Duration::from_millis(80),
    burst: Duration::from_millis(1100),
    // Watermarks are sent in it.
    silence: Duration::from_millis(700),
};

/// The number of the phase in which a replica gets no events.
const LAGGING: usize = 1;

/// The only problem that a read may get: a replica may lag, and then a demand is not met in time. A process or a replica
/// that fails is no problem of a read's, because the gateway asks the other process.
const BEHIND: &str = "replica-behind";

/// A read waits up to 2 s for its demand and up to 2 s for a frozen replica; the rest is for a busy machine.
const READ_MAX: Duration = Duration::from_secs(7);

/// What happens meanwhile, and what became of the reads that were sent then.
#[derive(Default)]
struct Phase {
    name: &'static str,
    answered: usize,
    /// How many of them gave a receipt back.
    with_receipt: usize,
    /// How long each read took, in milliseconds, and how many took so long.
    took: BTreeMap<u128, usize>,
    refused: BTreeMap<String, usize>,
}

/// The stack, its clients, and what is known of their reads.
struct Course {
    scaled: Scaled,
    crowd: Crowd,
    judge: Judge,
    primary: Postgres,
    replicas: [Postgres; 2],
    phases: Vec<Phase>,
    /// How many answers were changed to be too old, and then found by the judge.
    forgeries_caught: usize,
}

/// Goes on when it is dropped: also when the test fails.
struct Paused<'p>(&'p Postgres);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let _ = self.0.resume();
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, answered, with_receipt, refused, .. } = self;
        let [half, most, slowest] = [50, 99, 100].map(|percent| self.took(percent));
        write!(
            f,
            "{name}: {answered} reads answered, {with_receipt} of them with a receipt; refused {refused:?}; half took at \
             most {half} ms, 99 % {most} ms, the slowest {slowest} ms"
        )
    }
}

impl Phase {
    /// The longest time among the fastest `percent` of the reads, in milliseconds.
    fn took(&self, percent: usize) -> u128 {
        let least = (self.took.values().sum::<usize>() * percent).div_ceil(100);
        let mut so_many = 0;
        let mut times = self.took.iter();
        let slowest = times.find(|(_, reads)| {
            so_many += **reads;
            so_many >= least
        });
        slowest.map_or(0, |(took, _)| *took)
    }

    fn count(&mut self, sample: &Sample) -> Result<()> {
        let took = sample.took();
        *self.took.entry(took.as_millis()).or_default() += 1;
        match &sample.outcome {
            Ok(_) => {
                self.answered += 1;
                self.with_receipt += usize::from(sample.demand.has_receipt());
            }
            Err(refusal) => {
                *self.refused.entry(refusal.problem.clone()).or_default() += 1;
                check_refusal(refusal)?;
            }
        }
        ensure!(took <= READ_MAX, "a read took {took:?}");
        Ok(())
    }
}

impl Course {
    fn start() -> Result<Self> {
        let scaled = Scaled::up()?;
        let record = scaled.stack.directory().join(".stack").join("stack.json");
        let record: Value = serde_json::from_slice(&std::fs::read(record)?)?;
        let servers = std::path::Path::new(record["servers"].as_str().context("no servers")?);
        let open = |part: Part| Postgres::open(&servers.join(part.name()));
        let (primary, replicas) = (open(Part::Primary)?, [open(Part::Replica(1))?, open(Part::Replica(2))?]);
        let client = Client::new(Address::of(format!("http://127.0.0.1:{}", scaled.gateway)));
        let crowd = Crowd::start(&client, WRITING, FOLLOWERS, seed())?;
        Ok(Self {
            scaled,
            crowd,
            judge: Judge::default(),
            primary,
            replicas,
            phases: Vec::new(),
            forgeries_caught: 0,
        })
    }

    /// Runs a phase: the fault, and reads until there are enough. Then it judges them.
    fn phase(&mut self, name: &'static str, fault: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if !self.phases.is_empty() {
            self.crowd.next_phase();
        }
        self.phases.push(Phase { name, ..Phase::default() });
        let done = fault(self).and_then(|()| self.wait_for_reads(READS * scale(), Duration::ZERO));
        // The counts of a phase that failed say why.
        self.judge_reads()?;
        done.with_context(|| format!("while {name}"))
    }

    /// Half of a phase.
    fn wait_for_half(&mut self) -> Result<()> {
        self.wait_for_reads(READS * scale() / 2, Duration::ZERO)
    }

    fn wait_for_reads(&mut self, reads: usize, least: Duration) -> Result<()> {
        let begun = Instant::now();
        let crowd = &mut self.crowd;
        let enough = wait::until(scaled(4 * RECOVERY, RECOVERY), POLL, || {
            let held = crowd.receipts_held()?;
            Ok((held >= reads && begun.elapsed() >= least).then_some(()))
        })?;
        enough.with_context(|| format!("{:?} of {reads} reads are answered", self.crowd.receipts_held()))
    }

    /// Until it is ready again, whatever it waits for.
    fn wait_until_ready(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let ready = wait::until(RECOVERY, POLL, || {
                Ok((self.scaled.status_of(name)?["ready"] == true).then_some(()))
            })?;
            ready.with_context(|| format!("{name} does not become ready"))?;
        }
        Ok(())
    }

    fn judge_reads(&mut self) -> Result<()> {
        let reads = self.crowd.take_reads();
        // After the answers: whatever they show was committed by now.
        let writes = self.crowd.book().writes();
        let ledger = Ledger::new(self.events()?, &writes);
        let mut counted = Ok(());
        for read in &reads {
            let phase = &mut self.phases[read.sent_in];
            counted = counted.and(phase.count(&read.sample).with_context(|| format!("while {}", phase.name)));
            let phase = phase.name;
            judge(&mut self.judge, &ledger, &read.sample).with_context(|| format!("while {phase}"))?;
            if let Some(forgery) = forge(&read.sample) {
                let judged = judge(&mut Judge::default(), &ledger, &forgery);
                ensure!(judged.is_err(), "the judge believes {forgery:?}");
                self.forgeries_caught += 1;
            }
        }
        let lost = ledger.lost_write();
        ensure!(lost.is_none(), "this was acknowledged and is not in the log: {lost:?}");
        counted
    }

    fn events(&self) -> Result<Vec<EventRow>> {
        runtime()?.block_on(async { rows::events(&connect(&self.primary, Part::Primary).await?).await })
    }

    /// Both replicas hold what the log says.
    fn all_is_level(&self) -> Result<()> {
        runtime()?.block_on(async {
            let primary = connect(&self.primary, Part::Primary).await?;
            for replica in &self.replicas {
                let replica = connect(replica, Part::REPLICA).await?;
                eventually(scaled(RECOVERY, RECOVERY / 10), "both replicas are level", async || {
                    Everything::read_from(&primary, &replica).await?.check()
                })
                .await?;
            }
            Ok(())
        })
    }

    fn check_counts(&self) -> Result<()> {
        let Checks { receipt, handed_on, strong, bounded, as_of, after_wait, lacking, .. } =
            self.judge.checks;
        println!(
            "{} writes; checked: {receipt} write receipts, {handed_on} handed on, {strong} strong, {bounded} bounded, \
             {as_of} as of; {after_wait} answered after a wait; {lacking} reads without a demand lacked a write; 0 early, \
             and {} forgeries caught",
            self.crowd.book().len(),
            self.forgeries_caught
        );
        let lagged = self.phases[LAGGING].refused.get(BEHIND);
        ensure!(lagged.is_some(), "no read met the replica whose consumer was stopped");
        for phase in &self.phases {
            ensure!(phase.with_receipt >= READS * scale(), "too few reads: {phase}");
        }
        let least = READS * scale() / 5;
        for (name, count) in [
            ("write receipts", receipt),
            ("handed on", handed_on),
            ("strong", strong),
            ("bounded", bounded),
            ("as of", as_of),
            ("forgeries caught", self.forgeries_caught),
        ] {
            ensure!(count >= least, "{name}: {count} of at least {least}");
        }
        ensure!(after_wait > 0 && lacking > 0, "no read met a replica that lagged");
        Ok(())
    }
}

fn check_refusal(refusal: &Refusal) -> Result<()> {
    let Refusal { status, problem, retry_after } = refusal;
    ensure!((*status, problem.as_str()) == (504, BEHIND), "{status} {problem}");
    ensure!(retry_after.is_some_and(|seconds| seconds >= 1), "{problem}: Retry-After is {retry_after:?}");
    Ok(())
}

fn judge(judge: &mut Judge, ledger: &Ledger, sample: &Sample) -> Result<()> {
    let slot = sample.slot().context("a read of more than one slot")?;
    judge.judge(sample, ledger.of(slot))
}

/// The same answer with the version before the one that a write receipt demanded.
fn forge(sample: &Sample) -> Option<Sample> {
    let (slot, told) = sample.demand.writes.first()?.slots.first()?;
    let Told::Version(version @ 2..) = told else { return None };
    let mut forgery = sample.clone();
    let answer = forgery.outcome.as_mut().ok().filter(|answer| answer.claim == Claim::Satisfied)?;
    answer.shown = Shown::Slots(HashMap::from([(*slot, version - 1)]), None);
    // The receipt alone has to reveal it.
    answer.as_of = None;
    forgery.sequence = None;
    forgery.demand = Demand { writes: sample.demand.writes.clone(), ..Demand::default() };
    Some(forgery)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn connect(server: &Postgres, part: Part) -> Result<tokio_postgres::Client> {
    let (_, database) = part.database().context("no database")?;
    let (client, connection) = tokio_postgres::connect(&server.superuser_url(database), NoTls).await?;
    // It ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

#[test]
fn receipts_hold_whichever_process_answers_while_one_after_the_other_fails() -> Result<()> {
    let mut course = Course::start()?;

    let run = run(&mut course);

    course.phases.iter().for_each(|phase| println!("{phase}"));
    run?;
    course.check_counts()?;
    course.scaled.stack.run(&["down", "--wipe"]).map(|_| ())
}

fn run(course: &mut Course) -> Result<()> {
    course.phase("nothing fails", |_| Ok(()))?;
    course.phase("replica-2's consumer is stopped", stop_a_consumer)?;
    course.phase("query-1 is killed", kill_a_query_process)?;
    // In between, so that nginx has asked query-1 again: it does so 3 s after a failure. It keeps one process at least.
    course.phase("replica-2 is rebuilt", rebuild_a_replica)?;
    course.phase("replica-2 is paused", pause_a_replica)?;
    course.crowd.stop()?;
    course.judge_reads()?;
    course.all_is_level()
}

fn stop_a_consumer(course: &mut Course) -> Result<()> {
    course.scaled.stop(&["event-consumer-2"])?;
    course.wait_for_half()?;
    course.scaled.start(&["event-consumer-2"])
}

fn pause_a_replica(course: &mut Course) -> Result<()> {
    let replica = course.replicas[1].clone();
    let paused = Paused(&replica);
    replica.pause()?;
    course.wait_for_reads(READS * scale() / 2, PAUSED_FOR)?;
    drop(paused);
    course.wait_until_ready(&["query-2", "event-consumer-2"])
}

fn kill_a_query_process(course: &mut Course) -> Result<()> {
    let pid = course.scaled.status_of("query-1")?["pid"].as_i64().context("no pid")?;
    let process = Process::of(i32::try_from(pid)?).context("no process")?;
    process.signal(Signal::KILL)?;
    ensure!(process.wait_for_end(RECOVERY), "it cannot be killed");
    course.wait_for_half()?;
    course.scaled.start(&["query-1"])
}

/// Again and again, for half of the phase.
fn rebuild_a_replica(course: &mut Course) -> Result<()> {
    let end = Instant::now() + scaled(4 * RECOVERY, RECOVERY);
    while course.crowd.receipts_held()? < READS * scale() / 2 {
        ensure!(Instant::now() < end, "too few reads are answered");
        course.scaled.stack.run(&["exec", "event-consumer-2", "rebuild"])?;
    }
    Ok(())
}
