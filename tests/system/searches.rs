//! Reads with a filter: they have connections of their own, end with their callers, and hurt nobody else.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use system_tests::{Client, Pair, RECOVERY, assert_level, eventually, with_pair};
use tokio::time::{Instant, timeout};

/// Rows that a search without hits has to look through: a tenth of a second of work or more.
const ROWS: i64 = 300_000;

/// Searches that wait beside the two that run.
const WAITING_MAX: usize = 64;

/// A client that hangs up looks for a second like one that closed only its sending side.
const ENDED_AFTER: Duration = Duration::from_millis(2_500);

/// What an answer may take on a busy machine that holds nothing up.
const PROMPT: Duration = Duration::from_secs(1);

#[test]
fn a_search_whose_caller_hangs_up_ends_on_the_replica_too() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        connect_searchers(&client).await?;
        let hold = pair.replica.hold("LOCK TABLE parking_slots IN ACCESS EXCLUSIVE MODE").await?;

        let hung_up = timeout(Duration::from_millis(300), client.list("?name=one")).await;

        ensure!(hung_up.is_err(), "the search was answered while the table was locked");
        // The server's own limit would end it after 4 s.
        eventually(ENDED_AFTER, "its statement ends", async || {
            let running = searching(pair).await?;
            ensure!(running == 0, "{running} statements still run");
            Ok(())
        })
        .await?;
        hold.release().await?;
        client.list("?name=Slot").await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn a_search_that_takes_too_long_is_overloaded_and_says_nothing_against_the_replica() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        connect_searchers(&client).await?;
        let hold = pair.replica.hold("LOCK TABLE parking_slots IN ACCESS EXCLUSIVE MODE").await?;

        let late = client.list("?name=one").await?;

        hold.release().await?;
        assert_eq!((late.status.as_u16(), late.problem()), (503, "overloaded"), "{}", late.body);
        ensure!(late.header("retry-after").is_some(), "no Retry-After");
        let ready = client.readyz().await?.expect(200)?;
        assert_eq!(ready.body["dependencies"]["replica"]["state"], "up", "{}", ready.body);
        Ok(())
    })
}

#[test]
fn searches_beyond_the_bound_are_refused_at_once_and_equal_ones_take_one_place() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        connect_searchers(&client).await?;
        let hold = pair.replica.hold("LOCK TABLE parking_slots IN ACCESS EXCLUSIVE MODE").await?;
        let asked = (0..WAITING_MAX + 2).map(|number| {
            let (client, query) = (client.clone(), format!("?name={number:02}"));
            tokio::spawn(async move { client.list(&query).await })
        });
        let asked: Vec<_> = asked.collect();

        eventually(RECOVERY, "one more is refused at once", async || {
            let began = Instant::now();
            let reply = timeout(PROMPT, client.list("?name=more")).await??;
            ensure!(reply.problem() == "overloaded", "{}: {}", reply.status, reply.body);
            ensure!(began.elapsed() < PROMPT, "refused after {:?}", began.elapsed());
            Ok(())
        })
        .await?;

        hold.release().await?;
        for reply in asked {
            let reply = reply.await??;
            ensure!(reply.status == 200 || reply.problem() == "overloaded", "{}", reply.body);
        }
        client.list("?name=Slot").await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn many_searches_without_hits_hold_up_no_other_read() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;
        let rows = format!(
            "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
             SELECT gen_random_uuid(), 1, now(), now(), 'occupied', repeat('Bay ', 45) || number
             FROM generate_series(1, {ROWS}) AS number"
        );
        pair.replica.sql().await?.batch_execute(&rows).await?;

        // Two letters are too few for the index of trigrams.
        let unknown = "fghijklm".chars().flat_map(|first| "opqrtuvw".chars().map(move |last| [first, last]));
        let searches = unknown.map(|letters| {
            let (client, query) = (client.clone(), format!("?name={}", String::from_iter(letters)));
            tokio::spawn(async move { client.list(&query).await })
        });
        let searches: Vec<_> = searches.collect();
        let mut beside = 0;
        while searches.iter().any(|search| !search.is_finished()) {
            let began = Instant::now();
            client.list("?limit=10").await?.expect(200)?;
            client.get(slot.uuid).await?.expect(200)?;
            client.summary().await?.expect(200)?;
            ensure!(began.elapsed() < 3 * PROMPT, "three reads took {:?}", began.elapsed());
            let ready = client.readyz().await?.expect(200)?;
            ensure!(ready.body["dependencies"]["replica"]["state"] == "up", "{}", ready.body);
            beside += 1;
        }

        println!("{beside} rounds of three reads beside {WAITING_MAX} searches");
        ensure!(beside >= 3, "the searches were over too soon to show anything");
        for search in searches {
            let reply = search.await??;
            ensure!(reply.status == 200 || reply.problem() == "overloaded", "{}", reply.body);
        }
        Ok(())
    })
}

/// Makes both searchers connect: a locked table would keep them from preparing their statements.
async fn connect_searchers(client: &Client) -> Result<()> {
    for reply in
        join_all((0..16).map(|number| async move { client.list(&format!("?name={number}")).await })).await
    {
        reply?.expect(200)?;
    }
    Ok(())
}

/// How many statements of searches run on the replica.
async fn searching(pair: &Pair) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'search' AND state = 'active'";
    Ok(pair.replica.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}
