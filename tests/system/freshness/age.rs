//! How far behind the replica is, told where nobody has read: in `/readyz`, and by a read that waited in vain.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::{Client, RECOVERY, assert_level, eventually, with_pair};

use super::created;
use crate::outages::assert_dependency;

/// An age that no replica has while its consumer works, in milliseconds.
const OLD_MS: u64 = 2_000;

async fn replica_of(client: &Client) -> Result<Value> {
    let ready = client.readyz().await?.expect(200)?.body;
    Ok(ready["dependencies"]["replica"].clone())
}

fn number(replica: &Value, member: &str) -> Result<u64> {
    replica[member].as_u64().with_context(|| format!("no {member}: {replica}"))
}

#[test]
fn readiness_says_how_far_behind_the_replica_is() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        let young = eventually(RECOVERY, "the replica is young", async || {
            let replica = replica_of(&client).await?;
            ensure!(number(&replica, "lag_ms")? < OLD_MS, "{replica}");
            ensure!(number(&replica, "heard_ms_ago")? < OLD_MS, "{replica}");
            Ok(replica)
        })
        .await?;

        pair.event_consumer().stop().await?;
        let old = eventually(RECOVERY, "the replica is old", async || {
            let replica = replica_of(&client).await?;
            ensure!(number(&replica, "lag_ms")? > OLD_MS, "{replica}");
            ensure!(number(&replica, "heard_ms_ago")? > OLD_MS, "{replica}");
            Ok(replica)
        })
        .await?;

        for replica in [&young, &old] {
            assert_eq!(replica["state"], "up", "an old replica answers");
            let as_of: jiff::Timestamp = replica["as_of"].as_str().context("no as_of")?.parse()?;
            ensure!(as_of < jiff::Timestamp::now(), "{replica}");
        }
        pair.event_consumer().start().await?;
        eventually(RECOVERY, "it is young again", async || {
            ensure!(number(&replica_of(&client).await?, "lag_ms")? < OLD_MS);
            Ok(())
        })
        .await?;
        pair.links.command_replica.cut().await;
        assert_dependency(&client, "replica", "down").await?;
        eventually(RECOVERY, "nothing is known of a replica that is down", async || {
            let replica = replica_of(&client).await?;
            ensure!(replica["lag_ms"].is_null() && replica["heard_ms_ago"].is_null(), "{replica}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_read_that_waited_in_vain_is_told_how_far_behind_the_replica_is_and_what_is_down() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let (_, receipt) = created(&client, "Slot 2").await?;
        let in_vain = async || {
            let behind = client.list(&format!("?receipt={receipt}&wait_ms=100")).await?.expect(504)?;
            assert_eq!(behind.problem(), "replica-behind");
            Ok::<_, anyhow::Error>(behind.body["detail"].as_str().context("no detail")?.to_owned())
        };

        let alone = in_vain().await?;
        pair.links.relay_broker.cut().await;
        assert_dependency(&client, "broker", "down").await?;
        let without_broker = in_vain().await?;

        ensure!(alone.contains(" s behind; no dependency of this service is down"), "{alone}");
        ensure!(alone.contains("look at the event-consumer"), "{alone}");
        ensure!(without_broker.contains(" s behind; "), "{without_broker}");
        ensure!(without_broker.contains("broker") && without_broker.contains(" down"), "{without_broker}");
        Ok(())
    })
}

#[test]
fn how_far_behind_grows_with_time() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let (_, receipt) = created(&client, "Slot 2").await?;

        let told = async |wait_ms: u32| {
            let path = format!("?receipt={receipt}&wait_ms={wait_ms}");
            let detail = client.list(&path).await?.expect(504)?.body["detail"].clone();
            let detail = detail.as_str().context("no detail")?;
            let (before, _) = detail.split_once(" s behind").with_context(|| detail.to_owned())?;
            let seconds = before.rsplit(' ').next().context("no number")?.parse::<f64>()?;
            Ok::<_, anyhow::Error>(Duration::from_secs_f64(seconds))
        };
        let (first, second) = (told(0).await?, told(1500).await?);

        ensure!(second >= first + Duration::from_secs(1), "{first:?}, and {second:?} later");
        Ok(())
    })
}
