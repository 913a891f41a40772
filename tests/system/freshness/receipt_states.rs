//! `GET /receipts/{receipt}`: where a write is on its way.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use system_tests::{
    Client, Pair, RECOVERY, Shape, answered_within, assert_level,
    bridge::{Bridge, Disorder},
    eventually,
    random::seed,
    with_pair,
};

use super::{created, created_together};

async fn state(client: &Client, receipt: &str) -> Result<Value> {
    Ok(client.get_path(&format!("/receipts/{receipt}")).await?.expect(200)?.body["state"].clone())
}

async fn comes_to(client: &Client, receipt: &str, expected: &str) -> Result<()> {
    eventually(RECOVERY, expected, async || {
        let state = state(client, receipt).await?;
        ensure!(state == expected, "it is {state}");
        Ok(())
    })
    .await
}

async fn relayed(pair: &Pair) -> Result<()> {
    eventually(RECOVERY, "the broker has confirmed everything", async || {
        let row = pair.primary.sql().await?.query_one("SELECT count(*) FROM outbox", &[]).await?;
        let waiting: i64 = row.try_get(0)?;
        ensure!(waiting == 0, "{waiting} events wait");
        Ok(())
    })
    .await
}

#[test]
fn a_write_is_committed_then_published_then_applied() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        created(&client, "Before").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        pair.links.relay_broker.cut().await;

        let (_, one) = created(&client, "Slot 1").await?;
        let (_, batch) = created_together(&client, &["Slot 2", "Slot 3", "Slot 4"]).await?;
        let while_cut = [state(&client, &one).await?, state(&client, &batch).await?];
        pair.links.relay_broker.restore()?;
        relayed(pair).await?;
        let while_stopped = [state(&client, &one).await?, state(&client, &batch).await?];
        pair.event_consumer().start().await?;
        assert_level(pair).await?;
        let level = [state(&client, &one).await?, state(&client, &batch).await?];

        assert_eq!(while_cut, ["committed", "committed"]);
        assert_eq!(while_stopped, ["published", "published"]);
        assert_eq!(level, ["applied", "applied"]);
        Ok(())
    })
}

#[test]
fn a_batch_has_the_state_of_its_least_advanced_event() -> Result<()> {
    let bridged = Shape { bridged: true, started: false, ..Shape::default() };
    bridged.run(async |pair| {
        let bridge = Bridge::open_before(pair, Disorder::NONE, seed()).await?;
        let client = pair.client();
        bridge.hold(|position| position == 3);

        let (_, before) = created(&client, "Before").await?;
        let (slots, batch) = created_together(&client, &["Slot 1", "Slot 2", "Slot 3"]).await?;
        let (last, after) = created(&client, "After").await?;

        comes_to(&client, &before, "applied").await?;
        // The list ends before the first hole; each slot by itself is there.
        for beside in [&slots[0], &slots[2], &last] {
            eventually(RECOVERY, "the events beside the one that is held are applied", async || {
                client.get(beside.uuid).await?.slot(200)
            })
            .await?;
        }
        client.get(slots[1].uuid).await?.expect(404)?;
        assert_eq!(state(&client, &batch).await?, "published");
        let behind = client.list(&format!("?receipt={batch}&wait_ms=0")).await?;
        assert_eq!(behind.expect(504)?.problem(), "replica-behind");
        bridge.release();
        comes_to(&client, &batch, "applied").await?;
        comes_to(&client, &after, "applied").await?;
        client.get(slots[1].uuid).await?.slot(200)?;
        bridge.close_after(5).await?;
        Ok(())
    })
}

#[test]
fn what_was_set_aside_is_dead_lettered() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;

        let (_, culprit) = created(&client, "culprit").await?;
        let (_, batch) = created_together(&client, &["innocent", "culprit"]).await?;
        let (_, innocent) = created(&client, "innocent").await?;

        comes_to(&client, &innocent, "applied").await?;
        assert_eq!(state(&client, &culprit).await?, "dead_lettered");
        assert_eq!(state(&client, &batch).await?, "dead_lettered", "not all of it is there");
        Ok(())
    })
}

#[test]
fn what_is_no_receipt_has_no_state() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_, receipt) = created(&client, "Slot 1").await?;
        let cut = &receipt[..receipt.len() - 1];
        let long = "A".repeat(201);

        for text in ["nonsense", cut, &format!("{receipt}A"), "%00", &long] {
            let path = format!("/receipts/{text}");
            let refused = answered_within(Duration::from_secs(1), async || client.get_path(&path).await)
                .await?
                .expect(400)?;
            assert_eq!(refused.problem(), "malformed-receipt", "{text}");
        }
        let refused = client.get_path(&format!("/receipts/{receipt}?wait_ms=1")).await?.expect(400)?;
        assert_eq!(refused.problem(), "invalid-parameter", "its state takes no parameters");
        let read = client.list("").await?.expect(200)?;
        ensure!(read.header("write-receipt").is_none(), "a read is no write");
        Ok(())
    })
}
