//! Who waits costs nobody anything: not a connection, not a place of those who do not wait, and not for ever.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use system_tests::{
    Client, Pair, RECOVERY, Reply, Shape, answered_within, assert_level, database::Database, eventually,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{created, result};

/// Longer than a test needs, and shorter than a client waits for its answer.
const LONG: &str = "wait_ms=11000";

/// Eventual reads are answered this soon while others wait.
const AT_ONCE: Duration = Duration::from_secs(1);

fn waiters_at_most(count: &'static str) -> Shape {
    Shape { command_settings: vec![("PARKING__FRESHNESS__MAX_WAITERS", count)], ..Shape::default() }
}

/// Reads that wait for what does not come while the consumer is stopped, each at a place of its own.
async fn seated(client: &Client, receipt: &str, count: usize) -> Result<Vec<JoinHandle<Result<Reply>>>> {
    let all_sit = CancellationToken::new();
    let waiters =
        (0..count).map(|_| tokio::spawn(waiter(client.clone(), receipt.to_owned(), all_sit.clone())));
    let waiters = waiters.collect();
    refused_place(client, receipt).await.context("not every place is taken")?;
    all_sit.cancel();
    Ok(waiters)
}

/// Asks again when it was refused since who looks whether all places are taken has taken one.
async fn waiter(client: Client, receipt: String, all_sit: CancellationToken) -> Result<Reply> {
    loop {
        let reply = client.list(&format!("?limit=1&receipt={receipt}&{LONG}")).await?;
        if reply.status.as_u16() != 503 || all_sit.is_cancelled() {
            return Ok(reply);
        }
        tokio::task::yield_now().await;
    }
}

async fn without_consumer(pair: &Pair) -> Result<(Client, String)> {
    let client = pair.client();
    created(&client, "Before").await?;
    assert_level(pair).await?;
    pair.event_consumer().stop().await?;
    let (_, receipt) = created(&client, "Waited for").await?;
    Ok((client, receipt))
}

/// Waits until one more waiter is refused.
async fn refused_place(client: &Client, receipt: &str) -> Result<Reply> {
    eventually(RECOVERY, "every place is taken", async || {
        client.list(&format!("?receipt={receipt}&wait_ms=30")).await?.expect(503)
    })
    .await
}

#[test]
fn one_waiter_too_many_is_refused_and_who_goes_away_frees_a_place() -> Result<()> {
    waiters_at_most("2").run(async |pair| {
        let (client, receipt) = without_consumer(pair).await?;
        let mut waiters = seated(&client, &receipt, 2).await?;

        let refused = refused_place(&client, &receipt).await?;
        let strong = client.list("?consistency=strong&wait_ms=1000").await?.expect(503)?;
        let once = client.list(&format!("?receipt={receipt}&wait_ms=0")).await?;
        let eventual = client.list("").await?;
        let staying = waiters.remove(0);
        waiters.remove(0).abort();
        let freed = eventually(RECOVERY, "the place is free", async || {
            client.list(&format!("?receipt={receipt}&wait_ms=30")).await?.expect(504)
        })
        .await;

        for refused in [refused, strong] {
            assert_eq!(refused.problem(), "overloaded");
            let seconds: u32 = refused.header("retry-after").context("no Retry-After")?.parse()?;
            ensure!(seconds >= 1, "Retry-After: {seconds}");
        }
        assert_eq!(once.expect(504)?.problem(), "replica-behind", "who looks once does not wait");
        assert_eq!(result(&eventual.expect(200)?)?, "eventual", "nor does who demands nothing");
        freed?;
        pair.event_consumer().start().await?;
        let answer = staying.await??.expect(200)?;
        assert_eq!(result(&answer)?, "satisfied");
        Ok(())
    })
}

#[test]
fn who_waits_when_the_service_is_stopped_is_told_so() -> Result<()> {
    waiters_at_most("20").run(async |pair| {
        let (client, receipt) = without_consumer(pair).await?;
        let waiters = seated(&client, &receipt, 20).await?;

        let status = pair.command_service().stop().await?;

        ensure!(status.success(), "it ended with {status}");
        for waiter in waiters {
            let answer = waiter.await?.context("a waiter got no answer")?.expect(503)?;
            ensure!(answer.header("retry-after").is_some(), "it says when to try again");
            ensure!(answer.took < Duration::from_secs(9), "not after its wait: {:?}", answer.took);
        }
        Ok(())
    })
}

/// The connections to a database, but for the tests' own.
async fn connections(database: &Database) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name <> 'test'";
    Ok(database.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

#[test]
fn a_thousand_waiters_take_no_connection_and_nobodys_place() -> Result<()> {
    const WAITERS: usize = 1000;
    waiters_at_most("1000").run(async |pair| {
        let (client, receipt) = without_consumer(pair).await?;
        // Every connection that reads may open is open.
        try_join_all((0..50).map(|_| client.list("?limit=1"))).await?;
        let before = (connections(&pair.primary).await?, connections(&pair.replica).await?);
        let waiters = seated(&client, &receipt, WAITERS).await?;

        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let eventual = answered_within(AT_ONCE, async || client.list("?limit=1").await).await?;
            slowest = slowest.max(eventual.expect(200)?.took);
        }
        let meanwhile = (connections(&pair.primary).await?, connections(&pair.replica).await?);
        pair.event_consumer().start().await?;

        for waiter in waiters {
            let answer = waiter.await??.expect(200)?;
            assert_eq!(result(&answer)?, "satisfied");
        }
        ensure!(
            meanwhile.0 <= before.0 && meanwhile.1 <= before.1,
            "{before:?} connections became {meanwhile:?}"
        );
        println!(
            "{WAITERS} waiters; connections {before:?}, then {meanwhile:?}; slowest eventual read {slowest:?}"
        );
        Ok(())
    })
}
