//! What each demand comes to while a dependency is down.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_tests::{Client, RECOVERY, Reply, answered_within, assert_level, eventually, with_pair};

use super::{as_of, created, resources, result};
use crate::outages::REFUSAL_DEADLINE;

/// Watermarks come twice a second while nothing is written; with room for a busy machine.
const WATERMARK: Duration = Duration::from_secs(10);

async fn unavailable(client: &Client, path: &str, problem: &str) -> Result<()> {
    let reply = answered_within(REFUSAL_DEADLINE, async || client.get_path(path).await).await?.expect(503)?;
    assert_eq!(reply.problem(), problem);
    let seconds: u32 = reply.header("retry-after").context("no Retry-After")?.parse()?;
    ensure!(seconds >= 1, "Retry-After: {seconds}");
    Ok(())
}

async fn satisfied(client: &Client, path: &str, demand: &str) -> Result<Reply> {
    let reply = client.get_path(&format!("{path}?{demand}")).await?;
    let reply = reply.expect(200).with_context(|| format!("{path}?{demand}"))?;
    assert_eq!(result(&reply)?, "satisfied", "{path}?{demand}");
    Ok(reply)
}

#[test]
fn without_the_primary_everything_but_strong_reads_is_answered() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, receipt) = created(&client, "Slot 1").await?;
        let read = satisfied(&client, "/parking-slots", &format!("receipt={receipt}&wait_ms=10000")).await?;
        let of_read = read.header("freshness-receipt").context("no Freshness-Receipt")?.to_owned();
        assert_level(pair).await?;
        pair.links.command_primary.cut().await;

        for path in resources(&slot) {
            for timeout in ["", "&on_timeout=stale", "&wait_ms=0"] {
                let strong = format!("{path}?consistency=strong{timeout}");
                unavailable(&client, &strong, "primary-unavailable").await.context(strong)?;
            }
            let eventual = client.get_path(&path).await?.expect(200)?;
            assert_eq!(result(&eventual)?, "eventual");
            satisfied(&client, &path, &format!("receipt={receipt}")).await?;
            satisfied(&client, &path, &format!("receipt={receipt}&receipt={of_read}")).await?;
            satisfied(&client, &path, "max_staleness_ms=60000&wait_ms=0").await?;
        }
        eventually(WATERMARK, "what is there becomes too old for a bound of a second", async || {
            let reply = client.list("?max_staleness_ms=1000&wait_ms=0").await?.expect(504)?;
            assert_eq!(reply.problem(), "replica-behind");
            Ok(())
        })
        .await?;
        let stale = client.list("?max_staleness_ms=1000&wait_ms=0&on_timeout=stale").await?.expect(200)?;
        assert_eq!(result(&stale)?, "stale");
        satisfied(&client, "/parking-slots", "max_staleness_ms=60000&wait_ms=0").await?;
        pair.links.command_primary.restore()?;
        eventually(RECOVERY, "strong reads are answered again", async || {
            satisfied(&client, "/parking-slots", "consistency=strong").await
        })
        .await?;
        Ok(())
    })
}

#[test]
fn without_the_replica_no_demand_is_answered() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, receipt) = created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        pair.links.command_replica.cut().await;

        for path in resources(&slot) {
            for demand in [
                "",
                "?wait_ms=10000",
                &format!("?receipt={receipt}&wait_ms=10000"),
                "?consistency=strong&wait_ms=10000",
                "?max_staleness_ms=60000&wait_ms=10000",
                "?consistency=strong&on_timeout=stale",
            ] {
                let read = format!("{path}{demand}");
                unavailable(&client, &read, "replica-unavailable").await.context(read)?;
            }
        }
        pair.links.command_replica.restore()?;
        eventually(RECOVERY, "reads are answered again", async || {
            satisfied(&client, "/parking-slots", &format!("receipt={receipt}")).await
        })
        .await?;
        // It listens again too: a write is seen by who waits for it.
        let (_, new) = created(&client, "Slot 2").await?;
        satisfied(&client, "/parking-slots", &format!("receipt={new}&wait_ms=10000")).await?;
        Ok(())
    })
}

#[test]
fn without_broker_or_consumer_reads_are_behind_and_say_so() -> Result<()> {
    for (part, with_consumer) in [("broker", true), ("consumer", false)] {
        with_pair(async |pair| {
            let client = pair.client();
            let (slot, old) = created(&client, "Slot 1").await?;
            assert_level(pair).await?;
            if with_consumer {
                pair.links.relay_broker.cut().await;
                pair.links.consumer_broker.cut().await;
            } else {
                pair.event_consumer().stop().await?;
            }
            let level = satisfied(&client, "/parking-slots", "consistency=strong&wait_ms=0").await;
            level.with_context(|| format!("nothing is missing yet without the {part}"))?;

            let (_, new) = created(&client, "Slot 2").await?;

            for path in resources(&slot) {
                for demand in ["consistency=strong", "max_staleness_ms=0", &format!("receipt={new}")] {
                    let behind = client.get_path(&format!("{path}?{demand}&wait_ms=100")).await?;
                    assert_eq!(behind.expect(504)?.problem(), "replica-behind", "{part}: {path}?{demand}");
                    let path = format!("{path}?{demand}&wait_ms=100&on_timeout=stale");
                    let stale = client.get_path(&path).await?.expect(200)?;
                    assert_eq!(result(&stale)?, "stale", "{part}: {path}");
                    ensure!(as_of(&stale)? < jiff::Timestamp::now(), "{part}: {path}");
                }
                satisfied(&client, &path, &format!("receipt={old}")).await?;
            }
            pair.links.relay_broker.restore()?;
            pair.links.consumer_broker.restore()?;
            if !with_consumer {
                pair.event_consumer().start().await?;
            }
            assert_level(pair).await?;
            satisfied(&client, "/parking-slots", &format!("receipt={new}&consistency=strong")).await?;
            Ok(())
        })?;
    }
    Ok(())
}
