//! A rebuild after the primary was restored or replaced, and of a log that is empty.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Pair, RECOVERY, assert_level,
    broker::waiting_in,
    eventually,
    load::{Load, MIXED},
    random::seed,
    with_pair,
};

use super::{assert_nothing_left, fill, hold_in_the_middle, last_of, rebuild, rebuilt};

const QUEUE: &str = "parking.replica.main";

/// From now on positions are of another epoch.
async fn change_epoch(pair: &Pair) -> Result<()> {
    pair.command_service().stop().await?;
    let another = "UPDATE epoch SET epoch = gen_random_uuid()";
    pair.primary.sql().await?.batch_execute(another).await?;
    pair.command_service().start().await
}

#[test]
fn a_replica_of_an_earlier_life_of_the_primary_is_level_after_a_rebuild_beside_its_consumer() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        fill(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        // Events of the old life wait in the queue and in the consumer's hands.
        let hold = pair.replica.hold_status().await?;
        let load = Load::start(&[pair.client()], 4, MIXED, seed());
        eventually(RECOVERY, "messages wait in the queue", async || {
            ensure!(waiting_in(&channel, QUEUE).await? >= 10, "too few");
            Ok(())
        })
        .await?;
        load.finish().await?;
        change_epoch(pair).await?;
        let after = client.created("Of the new life").await?;
        hold.release().await?;

        rebuilt(rebuild(pair)?.end().await?)?;

        assert_eq!(client.get(after.uuid).await?.slot(200)?, after);
        assert_level(pair).await?;
        let batch =
            json!((0..50).map(|number| json!({ "name": format!("Later {number}") })).collect::<Vec<_>>());
        client.call(Method::POST, "/parking-slots/batch", Some(batch)).await?.expect(201)?;
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_that_meets_two_lives_of_the_primary_gives_up() -> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        let running = rebuild(pair)?.start()?;
        let hold = hold_in_the_middle(pair, last_of(&kept)?).await?;

        change_epoch(pair).await?;
        pair.client().created("Of the new life").await?;
        hold.release().await?;
        let ended = running.end().await?.expect(1)?;

        let line =
            "the primary was restored or replaced meanwhile: rebuild again; the replica is as it was\n";
        ensure!(ended.errors.ends_with(line), "it says {:?}", ended.errors);
        assert_nothing_left(pair).await?;
        rebuilt(rebuild(pair)?.end().await?)?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_after_a_new_epoch_leaves_a_queue_for_a_consumer_that_is_stopped() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        fill(pair).await?;
        pair.event_consumer().stop().await?;
        change_epoch(pair).await?;
        client.created("Of the new life").await?;

        rebuilt(rebuild(pair)?.end().await?)?;

        let (_connection, channel) = pair.broker.channel().await?;
        client.created("While the consumer is stopped").await?;
        eventually(RECOVERY, "the relay publishes to the queue", async || {
            ensure!(waiting_in(&channel, QUEUE).await? > 0, "nothing waits in it");
            Ok(())
        })
        .await?;
        pair.event_consumer().start().await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_replica_of_an_empty_log_is_rebuilt() -> Result<()> {
    with_pair(async |pair| {
        let sql = pair.replica.sql().await?;
        sql.batch_execute(
            "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
             VALUES (gen_random_uuid(), 1, now(), now(), 'available', 'Invented')",
        )
        .await?;

        let done = rebuilt(rebuild(pair)?.end().await?)?;

        assert_eq!((&done["slots"], &done["applied_through"]), (&json!(0), &json!(0)));
        assert_level(pair).await?;
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.ready().await
    })
}
