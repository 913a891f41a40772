//! What it costs a read to demand more than any state of the replica.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use system_tests::{Client, Pair, RECOVERY, assert_level, eventually};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    figures::{Times, against_goal, figure},
    processes::{connections, cost_of},
};

/// How often each kind of read is measured.
const ROUNDS: usize = 300;

/// Slots in the register at the beginning: more than a page.
const SLOTS: usize = 200;

const CREATES_PER_SEC: u32 = 1_000;

/// Connections over which these come; each sends one at a time.
const CREATORS: u32 = 8;

const WAITERS: usize = 1_000;

/// The time over which CPU is measured: `/proc` counts in hundredths of a second.
const STRETCH: Duration = Duration::from_secs(10);

pub(crate) async fn run(pair: &Pair) -> Result<()> {
    let client = pair.client();
    for number in 0..SLOTS {
        client.created(&format!("Bench {number}")).await?;
    }
    assert_level(pair).await?;
    idle(pair).await?;
    compare("idle", &client).await?;
    let load = Load::start(&client);
    compare("at 1000 creates/s", &client).await?;
    let reached = load.finish().await?;
    figure("creates/s that the load reached", reached, "/s");
    waiting(pair).await?;
    assert_level(pair).await?;
    Ok(())
}

/// A page of 100 read right after a write: as it is, with the write's receipt, and strong; in turns.
async fn compare(when: &str, client: &Client) -> Result<()> {
    let (mut plain, mut own, mut strong) = (Times::default(), Times::default(), Times::default());
    for _ in 0..ROUNDS {
        write(client).await?;
        plain.push(timed_list(client, "?limit=100", "eventual").await?);
        let receipt = write(client).await?;
        own.push(timed_list(client, &format!("?limit=100&receipt={receipt}"), "satisfied").await?);
        write(client).await?;
        strong.push(timed_list(client, "?limit=100&consistency=strong", "satisfied").await?);
    }
    let median = plain.percentile(50);
    for (what, times) in
        [("plain list", &mut plain), ("list with its own receipt", &mut own), ("strong list", &mut strong)]
    {
        let (p50, p99) = (times.percentile(50), times.percentile(99));
        println!("{when}: {what:<40} p50 {p50:>7.3} ms   p99 {p99:>7.3} ms   {:>6.2} x plain", p50 / median);
    }
    against_goal(
        &format!("{when}: median extra wait of a read with its own receipt"),
        own.percentile(50) - median,
        5.0,
        "ms",
    );
    Ok(())
}

/// Creates a slot; its receipt.
async fn write(client: &Client) -> Result<String> {
    let reply = client.create("Bench").await?.expect(201)?;
    Ok(reply.header("write-receipt").context("a command without a receipt")?.to_owned())
}

async fn timed_list(client: &Client, query: &str, result: &str) -> Result<Duration> {
    let start = Instant::now();
    let reply = client.list(query).await?.expect(200)?;
    let took = start.elapsed();
    ensure!(reply.header("freshness-result") == Some(result), "not {result}: {:?}", reply.headers);
    Ok(took)
}

/// Creates at a fixed rate, whatever the answers take.
struct Load {
    tasks: TaskTracker,
    stop: CancellationToken,
    created: Arc<AtomicUsize>,
    began: Instant,
}

impl Load {
    fn start(client: &Client) -> Self {
        let load = Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            created: Arc::default(),
            began: Instant::now(),
        };
        for _ in 0..CREATORS {
            let (client, stop, created) = (client.clone(), load.stop.clone(), Arc::clone(&load.created));
            load.tasks.spawn(async move {
                let mut ticks = interval(Duration::from_secs(1) * CREATORS / CREATES_PER_SEC);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    if client.create("Load").await.is_ok_and(|reply| reply.status == 201) {
                        created.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        load
    }

    /// Ends the load; how many slots were created a second.
    async fn finish(self) -> Result<f64> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let created = u32::try_from(self.created.load(Ordering::Relaxed))?;
        Ok(f64::from(created) / self.began.elapsed().as_secs_f64())
    }
}

/// What the pair costs while nothing happens, watermarks included.
async fn idle(pair: &Pair) -> Result<()> {
    // A connection that rests reports what it has done before only after ten seconds.
    sleep(Duration::from_secs(12)).await;
    let cost = cost_of(pair, STRETCH).await?;
    figure("idle: CPU of command-service", cost.command_service_cores, "core");
    figure("idle: CPU of event-consumer", cost.event_consumer_cores.context("no consumer")?, "core");
    figure("idle: flushes of the primary's log", cost.primary_flushes, "/s");
    figure("idle: flushes of the replica's log", cost.replica_flushes, "/s");
    Ok(())
}

/// Many reads wait for a write that does not arrive, since the consumer is stopped; then it does.
async fn waiting(pair: &Pair) -> Result<()> {
    let client = pair.client();
    assert_level(pair).await?;
    pair.event_consumer().stop().await?;
    let receipt = client.create("Awaited").await?.expect(201)?;
    let receipt = receipt.header("write-receipt").context("a command without a receipt")?.to_owned();
    let before = (connections(&pair.primary).await?, connections(&pair.replica).await?);

    let path = format!("/parking-slots?limit=1&wait_ms=30000&receipt={receipt}");
    let url = format!("{}{path}", pair.command_service().address().get());
    let http = reqwest::Client::new();
    let answers = tokio::spawn(try_join_all((0..WAITERS).map(|_| {
        let request = http.get(&url);
        async move { request.send().await.map(|answer| answer.status().as_u16()) }
    })));
    all_wait(pair).await?;
    let cost = cost_of(pair, STRETCH).await?;
    let during = (connections(&pair.primary).await?, connections(&pair.replica).await?);
    println!(
        "{WAITERS} waiting reads: connections to the primary {} before, {} meanwhile; to the replica {} and {}",
        before.0, during.0, before.1, during.1
    );
    ensure!(during <= before, "waiting reads have opened connections");
    against_goal("CPU of command-service meanwhile", cost.command_service_cores, 0.02, "core");

    let start = Instant::now();
    pair.event_consumer().start().await?;
    let statuses = answers.await??;
    ensure!(statuses.iter().all(|status| *status == 200), "not every read was answered: {statuses:?}");
    println!("{WAITERS} waiting reads: all answered {:.0?} after the consumer was started", start.elapsed());
    Ok(())
}

/// Waits until the process rests, since it has nothing left to do with the reads but wait.
async fn all_wait(pair: &Pair) -> Result<()> {
    // The requests are on their way when this begins.
    sleep(Duration::from_secs(2)).await;
    eventually(RECOVERY, "the service rests", async || {
        let cost = cost_of(pair, Duration::from_secs(1)).await?;
        ensure!(cost.command_service_cores < 0.05, "{json}", json = json!(cost.command_service_cores));
        Ok(())
    })
    .await
}
