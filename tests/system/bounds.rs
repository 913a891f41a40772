//! The bounds that the README promises: what is refused or waits at each, and that the rest goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use system_tests::{
    Client, Pair, RECOVERY, Reply, Shape, answered_within, assert_level, broker::waiting_in, eventually,
    in_time, proxy::Proxy, with_pair,
};

use crate::outages::create;

/// What a refusal may take that waits for nobody.
const PROMPT: Duration = Duration::from_secs(1);

/// A read's own deadline, and a little for the way.
const READ_DEADLINE: Duration = Duration::from_millis(5_500);

/// How long the consumer holds messages, what the broker's statistics need to show it, and a little for both.
const HOLD_DEADLINE: Duration = Duration::from_secs(80);

/// Sends `count` creates at once.
fn creates(client: &Client, count: usize) -> FuturesUnordered<impl Future<Output = Result<Reply>>> {
    (0..count)
        .map(|number| {
            let client = client.clone();
            async move { client.create(&format!("Slot {number}")).await }
        })
        .collect()
}

#[test]
fn commands_beyond_the_queue_limit_are_refused_at_once_and_those_within_it_are_committed() -> Result<()> {
    let four = Shape { settings: vec![("PARKING__COMMIT__QUEUE_LIMIT", "4")], ..Shape::default() };
    four.run(async |pair| {
        let client = pair.client();
        let mut committed = 0;
        in_time(PROMPT, async || {
            committed += 4;
            Ok(((), slowest_refusal_beyond_four(pair).await?))
        })
        .await?;

        let many = json!(vec![json!({ "name": "A" }); 9]);
        client.call(reqwest::Method::POST, "/parking-slots/batch", Some(many)).await?.expect(201)?;
        let everything = assert_level(pair).await?;
        assert_eq!(
            everything.events.len(),
            committed + 9,
            "a larger request may have the whole queue for itself"
        );
        Ok(())
    })
}

/// Of ten creates four wait, while nothing can be committed, and are committed then; the others are refused.
async fn slowest_refusal_beyond_four(pair: &Pair) -> Result<Duration> {
    let client = pair.client();
    let hold = pair.primary.hold_commit_lock().await?;
    let (mut answers, mut slowest) = (creates(&client, 10), Duration::ZERO);
    for _ in 0..6 {
        let refused = answers.next().await.context("no answer")??.expect(503)?;
        assert_eq!(refused.problem(), "overloaded");
        assert!(refused.header("retry-after").is_some(), "it says when to try again");
        slowest = slowest.max(refused.took);
    }
    client.list("").await?.expect(200)?;
    hold.release().await?;

    let committed: Vec<_> = answers.collect().await;
    assert_eq!(committed.len(), 4, "as many as may wait");
    for reply in committed {
        reply?.slot(201)?;
    }
    Ok(slowest)
}

#[test]
fn a_batch_of_the_committer_has_at_most_256_commands_unless_one_request_is_larger() -> Result<()> {
    let limited = Shape { settings: vec![("PARKING__COMMIT__QUEUE_LIMIT", "600")], ..Shape::default() };
    limited.run(async |pair| {
        let client = pair.client();
        let hold = pair.primary.hold_commit_lock().await?;

        let mut answers = creates(&client, 601);
        // That one is refused shows that 600 wait.
        answers.next().await.context("no answer")??.expect(503)?;
        hold.release().await?;
        while let Some(reply) = answers.next().await {
            reply?.slot(201)?;
        }

        // The first batch is what was there when the committer looked; behind it at least 344 were waiting.
        assert_eq!(largest_transaction(pair).await?, 256);
        let many = json!(vec![json!({ "name": "A" }); 1000]);
        client.call(reqwest::Method::POST, "/parking-slots/batch", Some(many)).await?.expect(201)?;
        assert_eq!(largest_transaction(pair).await?, 1000, "a request is never split");
        assert_level(pair).await?;
        Ok(())
    })
}

/// The number of events of the transaction that has most of them.
async fn largest_transaction(pair: &Pair) -> Result<i64> {
    let sql = "SELECT max(events) FROM (SELECT count(*) AS events FROM parking_slot_events
                                        GROUP BY xmin) AS transactions";
    Ok(pair.primary.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

#[test]
fn a_read_is_refused_in_time_when_the_replica_says_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;
        client.list("").await?.expect(200)?;
        pair.links.command_replica.blackhole();
        let one = format!("/parking-slots/{}", slot.uuid);
        let paths = ["/parking-slots", "/parking-slots?name=slot", "/parking-slots/summary", &one];

        // More than there are connections, so some wait for one.
        let read = async |path| answered_within(READ_DEADLINE, async || client.get_path(path).await).await;
        let reads = paths.iter().cycle().take(12).map(|path| read(path));
        let refused = futures_util::future::try_join_all(reads).await?;

        for (reply, path) in refused.into_iter().zip(paths.iter().cycle()) {
            let reply = reply.expect(503)?;
            assert_eq!(reply.problem(), "replica-unavailable", "{path}");
            assert!(reply.header("retry-after").is_some(), "{path} says when to try again");
        }
        pair.links.command_replica.restore()?;
        eventually(RECOVERY, "reads are answered again", async || client.list("").await?.expect(200)).await?;
        Ok(())
    })
}

#[test]
fn reads_share_two_connections_and_searches_two_others() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        let hold = pair.replica.hold("LOCK TABLE parking_slots IN ACCESS EXCLUSIVE MODE").await?;
        let others = Proxy::connections(&pair.links.command_replica);

        // A reader takes all reads that wait, so reads keep coming until each reader and each searcher has some.
        let mut reading = Vec::new();
        eventually(RECOVERY, "four reads wait for the table", async || {
            for query in ["", "?name=Slot", "?status=available"] {
                let client = client.clone();
                reading.push(tokio::spawn(async move { client.list(query).await }));
            }
            let waiting = sessions(pair, "AND wait_event_type = 'Lock'").await?;
            ensure!(waiting == 4, "{waiting} wait");
            Ok(())
        })
        .await?;
        hold.release().await?;

        for reply in reading {
            reply.await??.expect(200)?;
        }
        assert_eq!(sessions(pair, "").await?, 4, "no more were opened for many reads at once");
        let opened = Proxy::connections(&pair.links.command_replica) - others;
        assert_eq!(opened, 4, "nor were any opened and closed again");
        Ok(())
    })
}

/// How many sessions of queries there are on the replica.
async fn sessions(pair: &Pair, condition: &str) -> Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name IN ('query', 'search') {condition}"
    );
    Ok(pair.replica.sql().await?.query_one(&sql, &[]).await?.try_get(0)?)
}

#[test]
fn the_relay_takes_1024_events_and_goes_on_when_these_are_noted() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.links.relay_broker.cut().await;
        let many = json!(vec![json!({ "name": "A" }); 1000]);
        for _ in 0..3 {
            let batch = client.call(reqwest::Method::POST, "/parking-slots/batch", Some(many.clone()));
            batch.await?.expect(201)?;
        }
        let hold = pair.primary.hold("SELECT confirmed_position FROM relay_cursor FOR UPDATE").await?;

        pair.links.relay_broker.restore()?;

        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'relay'
                       AND wait_event_type = 'Lock'";
        eventually(RECOVERY, "the relay has published and wants to note it", async || {
            let applied = applied_through(pair).await?;
            ensure!(applied == 1024, "{applied} are applied");
            let waiting: i64 = pair.primary.sql().await?.query_one(waits, &[]).await?.try_get(0)?;
            ensure!(waiting == 1, "{waiting} wait");
            Ok(())
        })
        .await?;
        hold.release().await?;
        assert_eq!(assert_level(pair).await?.events.len(), 3000);
        Ok(())
    })
}

async fn applied_through(pair: &Pair) -> Result<i64> {
    let sql = "SELECT applied_through FROM replication_status";
    Ok(pair.replica.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

#[test]
fn the_consumer_holds_64_messages_for_a_minute_and_then_gives_them_back() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.links.consumer_replica.cut().await;

        let (_connection, channel) = pair.broker.channel().await?;
        // How many events a message has is up to the relay.
        let mut events = 0;
        eventually(RECOVERY, "more messages wait than are held", async || {
            events += create(&client, 10).await?.len();
            let waiting = waiting_in(&channel, "parking.replica.main").await?;
            ensure!(waiting > 64, "{waiting} wait");
            Ok(())
        })
        .await?;
        let (held, _) =
            messages_when(pair, "64 are held and others wait", |held, ready| held > 0 && ready > 0).await?;
        assert_eq!(held, 64);
        let (held, ready) = messages_when(pair, "they are given back", |held, _| held == 0).await?;

        ensure!(ready > 64, "{held} are held and {ready} wait");
        pair.links.consumer_replica.restore()?;
        assert_eq!(assert_level(pair).await?.events.len(), events);
        Ok(())
    })
}

/// Waits until the broker says this of the replica's queue; how many messages are held, and how many wait.
async fn messages_when(pair: &Pair, what: &str, fits: impl Fn(u64, u64) -> bool) -> Result<(u64, u64)> {
    eventually(HOLD_DEADLINE, what, async || {
        let queue = pair.broker.get(&format!("queues/{}/parking.replica.main", pair.broker.name)).await?;
        let count = |name: &str| queue[name].as_u64().with_context(|| format!("no {name} yet"));
        let (held, ready) = (count("messages_unacknowledged")?, count("messages_ready")?);
        ensure!(fits(held, ready), "{held} are held, {ready} wait");
        Ok((held, ready))
    })
    .await
}
