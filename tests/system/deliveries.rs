//! Publishing and consuming when the last word is lost: what was published or applied is published or delivered
//! again, and applied once.

use std::sync::Arc;

use anyhow::{Result, ensure};
use system_tests::{
    RECOVERY, assert_level, eventually,
    level::assert_level_with,
    load::{Load, MIXED},
    proxy::{frames::Sender, rules::SwallowMethod},
    random::seed,
    with_pair,
};

use crate::outages::create;

const LOST: u64 = 5;

#[test]
fn events_whose_confirm_is_lost_are_published_again_and_applied_once() -> Result<()> {
    with_pair(async |pair| {
        let rule = Arc::new(SwallowMethod::acks_from(Sender::Server, LOST));
        pair.links.relay_broker.set_rule(Some(rule.clone()));
        let load = Load::start(&[pair.client()], 8, MIXED, seed());

        eventually(RECOVERY, "confirms are lost", async || {
            ensure!(rule.swallowed() == LOST, "{} of {LOST}", rule.swallowed());
            Ok(())
        })
        .await?;
        load.progress(50).await?;
        let history = load.finish().await?;

        assert_level_with(pair, &history).await?;
        ensure!(pair.links.relay_broker.connections() > LOST, "each loss took a connection with it");
        Ok(())
    })
}

#[test]
fn messages_whose_acknowledgement_is_lost_are_delivered_again_and_applied_once() -> Result<()> {
    with_pair(async |pair| {
        let rule = Arc::new(SwallowMethod::acks_from(Sender::Client, LOST));
        pair.links.consumer_broker.set_rule(Some(rule.clone()));
        let load = Load::start(&[pair.client()], 8, MIXED, seed());

        eventually(RECOVERY, "acknowledgements are lost", async || {
            ensure!(rule.swallowed() == LOST, "{} of {LOST}", rule.swallowed());
            Ok(())
        })
        .await?;
        load.progress(50).await?;
        let history = load.finish().await?;

        assert_level_with(pair, &history).await?;
        ensure!(pair.links.consumer_broker.connections() > LOST, "each loss took a connection with it");
        Ok(())
    })
}

#[test]
fn a_batch_in_hand_when_the_consumer_is_killed_is_still_in_the_queue() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let hold = pair.replica.hold_status().await?;
        create(&client, 5).await?;
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = 'projection'
                         AND wait_event_type = 'Lock'";
        eventually(RECOVERY, "a batch is being applied", async || {
            let waiting: i64 = pair.replica.sql().await?.query_one(waiting, &[]).await?.try_get(0)?;
            ensure!(waiting == 1, "{waiting} wait");
            Ok(())
        })
        .await?;

        pair.event_consumer().kill()?;
        hold.release().await?;
        pair.event_consumer().start().await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 5);
        Ok(())
    })
}

#[test]
fn messages_held_while_the_replica_is_down_outlive_the_consumer() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.links.consumer_replica.cut().await;
        create(&client, 5).await?;
        // TakenSubmission from the queue, and held because the replica is down.
        let queue = format!("queues/{}/parking.replica.main", pair.broker.name);
        eventually(RECOVERY, "messages are held", async || {
            let held = pair.broker.get(&queue).await?["messages_unacknowledged"].as_i64();
            ensure!(held > Some(0), "{held:?} are held");
            Ok(())
        })
        .await?;

        pair.event_consumer().kill()?;
        pair.links.consumer_replica.restore()?;
        pair.event_consumer().start().await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 5);
        Ok(())
    })
}
