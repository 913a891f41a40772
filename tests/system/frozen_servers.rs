//! Servers that stop in the middle of everything and say nothing, while their host still acknowledges every byte: what is
//! answered meanwhile and how soon, and that everything goes on afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use system_tests::{
    Client, Pair, RECOVERY, Reply, Shape, answered_within, blocking, eventually,
    level::assert_level_with,
    load::{History, Load, MIXED},
    random::seed,
};
use tokio::{task::JoinSet, time::interval};
use tokio_util::sync::CancellationToken;

use crate::outages::assert_dependency;

const WRITERS: usize = 8;

/// How long a writer or a reader waits before it asks again: the freeze lasts long, and all of its load is compared in the
/// end.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a server is frozen: longer than any deadline of the services.
const FROZEN_FOR: Duration = Duration::from_secs(20);

/// How long a command may take, and the second that a late answer is granted.
const COMMAND_MAX: Duration = Duration::from_secs(11);

/// The same for a read, without the time that it asks to wait.
const READ_MAX: Duration = Duration::from_secs(6);

/// How soon the reads that meet a frozen replica are refused: it may be silent for 2 s, and the machine may be busy.
const SILENCE_NOTICED: Duration = Duration::from_secs(4);

/// How soon reads are refused after that: nobody asks the replica, not even for a connection, which takes 0.8 s.
const REFUSED_AT_ONCE: Duration = Duration::from_millis(500);

/// How long the relay waits for an answer, how often it asks, and a little for a busy machine.
const RELAY_NOTICES: Duration = Duration::from_secs(10);

/// What the readers ask, and how long they ask to wait.
const READS: [(&str, Duration); 4] = [
    ("/parking-slots?limit=10", Duration::ZERO),
    ("/parking-slots/summary", Duration::ZERO),
    ("/parking-slots/summary?consistency=strong&wait_ms=1000", Duration::from_secs(1)),
    ("/parking-slots?limit=1&max_staleness_ms=300&wait_ms=1000&on_timeout=stale", Duration::from_secs(1)),
];

/// What came of the reads.
#[derive(Debug, Default)]
struct Answers {
    answered: AtomicU64,
    refused: AtomicU64,
}

/// Readers that ask one read after the other.
struct Readers {
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
    answers: Arc<Answers>,
}

impl Readers {
    fn start(client: &Client) -> Self {
        let (stop, answers, mut tasks) = (CancellationToken::new(), Arc::default(), JoinSet::new());
        for (path, wait) in READS {
            tasks.spawn(read_in_time(
                client.clone(),
                path,
                READ_MAX + wait,
                Arc::clone(&answers),
                stop.clone(),
            ));
        }
        Self { stop, tasks, answers }
    }

    /// How many reads were answered, and how many refused.
    fn counts(&self) -> (u64, u64) {
        (self.answers.answered.load(Ordering::Relaxed), self.answers.refused.load(Ordering::Relaxed))
    }

    /// Fails if an answer came late, or was none of those that a read may get.
    async fn finish(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.context("a reader panicked")??;
        }
        Ok(())
    }
}

async fn read_in_time(
    client: Client,
    path: &'static str,
    bound: Duration,
    answers: Arc<Answers>,
    stop: CancellationToken,
) -> Result<()> {
    let mut turn = interval(PAUSE);
    while stop.run_until_cancelled(turn.tick()).await.is_some() {
        let asked_at = Instant::now();
        let reply = client.call(Method::GET, path, None).await.with_context(|| path.to_owned())?;
        let took = asked_at.elapsed();
        ensure!(took < bound, "{path} took {took:?} of {bound:?}");
        match reply.status.as_u16() {
            200 => answers.answered.fetch_add(1, Ordering::Relaxed),
            503 | 504 => answers.refused.fetch_add(1, Ordering::Relaxed),
            other => anyhow::bail!("{path}: {other}: {}", reply.body),
        };
    }
    Ok(())
}

/// Freezes a server under load until it has been frozen for long enough and `meanwhile` has seen what it waits for. Then
/// everything must go on, and nothing be lost. Returns what became of the commands, and how many reads were answered and
/// refused while the server was frozen.
async fn freeze(
    pair: &Pair,
    pause: impl FnOnce() -> Result<()> + Send + 'static,
    resume: impl FnOnce() -> Result<()> + Send + 'static,
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<(History, (u64, u64))> {
    let client = pair.client();
    let load = Load::start_paced(std::slice::from_ref(&client), WRITERS, MIXED, seed(), PAUSE);
    let readers = Readers::start(&client);
    load.progress(100).await?;

    blocking(pause).await?;
    let frozen_at = Instant::now();
    let before = readers.counts();
    let met = meanwhile().await;
    eventually(FROZEN_FOR * 2, "the server has been frozen for long enough", async || {
        let frozen_for = frozen_at.elapsed();
        ensure!(frozen_for >= FROZEN_FOR, "{frozen_for:?}");
        Ok(())
    })
    .await?;
    let after = readers.counts();
    // Before any complaint: a server that stays frozen could not be ended in an orderly way.
    blocking(resume).await?;
    met?;

    load.progress(200).await?;
    let slowest = load.slowest();
    let history = load.finish().await?;
    readers.finish().await?;
    ensure!(slowest < COMMAND_MAX, "a command took {slowest:?}");
    assert_level_with(pair, &history).await?;
    pair.ready().await?;
    Ok((history, (after.0 - before.0, after.1 - before.1)))
}

#[test]
fn a_frozen_primary_is_noticed_by_every_step_and_nothing_is_lost() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        let (to_pause, to_resume) = (pair.primary.server.clone(), pair.primary.server.clone());
        let client = pair.client();

        let meanwhile = async || {
            eventually(RELAY_NOTICES, "the relay says that its primary is down", async || {
                let body = client.readyz().await?.body;
                ensure!(body["dependencies"]["relay"]["state"] == "down", "it says {body}");
                Ok(())
            })
            .await?;
            assert_dependency(&client, "primary", "down").await
        };
        let (history, (answered, refused)) =
            freeze(pair, move || to_pause.pause(), move || to_resume.resume(), meanwhile).await?;

        let refused_commands = history.unknown() + history.refused(|status| status == 503);
        ensure!(refused_commands > 0, "no command met the freeze, so nothing was tried");
        ensure!(answered > 20, "reads need no primary, and only {answered} were answered");
        ensure!(refused > 0, "strong reads were not refused");
        Ok(())
    })
}

#[test]
fn a_frozen_replica_holds_up_no_command_and_no_read_beyond_its_deadline() -> Result<()> {
    let own = Shape { own_replica: true, ..Shape::default() };
    own.run(async |pair| {
        let (to_pause, to_resume) = (pair.replica.server.clone(), pair.replica.server.clone());
        let client = pair.client();
        let consumer = pair.event_consumer().client();

        let meanwhile = async || {
            assert_dependency(&client, "replica", "down").await?;
            eventually(RECOVERY, "the consumer says that it cannot work", async || {
                consumer.readyz().await?.expect(503)
            })
            .await
            .map(|_| ())
        };
        let (history, (_, refused)) =
            freeze(pair, move || to_pause.pause(), move || to_resume.resume(), meanwhile).await?;

        let harmed = history.unknown() + history.refused(|status| status >= 500);
        assert_eq!(harmed, 0, "the replica is no concern of a command");
        ensure!(refused > 0, "no read met the freeze, so nothing was tried");
        Ok(())
    })
}

#[test]
fn a_frozen_replica_is_noticed_in_seconds_and_no_read_waits_for_it_any_longer() -> Result<()> {
    let own = Shape { own_replica: true, ..Shape::default() };
    own.run(async |pair| {
        let (to_pause, to_resume) = (pair.replica.server.clone(), pair.replica.server.clone());
        let client = pair.client();
        client.created("Slot 1").await?;
        pair.ready().await?;

        blocking(move || to_pause.pause()).await?;
        let met = reads_are_refused_soon(&client).await;
        blocking(move || to_resume.resume()).await?;

        for path in &met? {
            eventually(RECOVERY, "reads are answered again", async || {
                client.get_path(path).await?.expect(200)
            })
            .await?;
        }
        pair.ready().await
    })
}

/// Returns the paths of the reads.
async fn reads_are_refused_soon(client: &Client) -> Result<Vec<String>> {
    // The replica does not get this write while it is frozen.
    let created = client.create("Slot 2").await?.expect(201)?;
    let receipt = created.header("write-receipt").context("no receipt")?;
    let paths = vec![
        "/parking-slots".to_owned(),
        "/parking-slots?name=slot".to_owned(),
        "/parking-slots/summary?consistency=strong".to_owned(),
        format!("/parking-slots?wait_ms=30000&receipt={receipt}"),
        format!("/receipts/{receipt}"),
    ];
    let refused = |reply: &Reply, path: &str| {
        let (status, problem) = (reply.status.as_u16(), reply.problem());
        ensure!((status, problem) == (503, "replica-unavailable"), "{path}: {status}: {}", reply.body);
        ensure!(reply.header("retry-after").is_some(), "{path} says when to try again");
        Ok(())
    };
    let first = paths.iter().map(async |path| client.get_path(path).await);
    for (reply, path) in futures_util::future::try_join_all(first).await?.iter().zip(&paths) {
        refused(reply, path)?;
        ensure!(reply.took < SILENCE_NOTICED, "{path} took {:?}", reply.took);
    }
    let ready = client.readyz().await?.body;
    ensure!(ready["dependencies"]["replica"]["state"] == "down", "right after the first refusals: {ready}");
    for path in &paths {
        let reply = answered_within(REFUSED_AT_ONCE, async || client.get_path(path).await).await;
        refused(&reply.with_context(|| path.clone())?, path)?;
    }
    Ok(paths)
}

#[test]
fn a_frozen_broker_holds_up_neither_commands_nor_reads() -> Result<()> {
    let own = Shape { own_broker: true, ..Shape::default() };
    own.run(async |pair| {
        let (to_pause, to_resume) = (pair.broker.broker.clone(), pair.broker.broker.clone());
        let client = pair.client();

        let meanwhile = async || assert_dependency(&client, "broker", "down").await;
        let (history, (answered, _)) =
            freeze(pair, move || to_pause.pause(), move || to_resume.resume(), meanwhile).await?;

        let harmed = history.unknown() + history.refused(|status| status >= 500);
        assert_eq!(harmed, 0, "the broker is no concern of a command");
        ensure!(answered > 20, "reads need no broker, and only {answered} were answered");
        Ok(())
    })
}
