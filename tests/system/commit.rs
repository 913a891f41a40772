//! Group commit under what can go wrong around it: lost replies, late commits, held slots, hot slots.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Pair, RECOVERY, Shape, Slot, answered_within, assert_level, eventually, in_time,
    proxy::rules::{StrandCommit, SwallowCommitReply},
    with_pair,
};

/// What a command may take that waits for nobody.
const PROMPT: Duration = Duration::from_secs(1);

#[test]
fn a_create_whose_commit_reply_is_lost_is_acknowledged_and_made_once() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let rule = Arc::new(SwallowCommitReply::times(1));
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let slot = client.created("Slot 1").await?;

        assert_eq!(rule.swallowed(), 1, "the reply to the commit of this create was lost");
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 1, "one create makes one event");
        assert_eq!(everything.events[0].slot_uuid, slot.uuid);
        Ok(())
    })
}

#[test]
fn changes_and_deletes_whose_commit_reply_is_lost_happen_once() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (kept, removed) = (client.created("Kept").await?, client.created("Removed").await?);
        let rule = Arc::new(SwallowCommitReply::times(2));
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let changed = client.change(kept.uuid, json!({ "status": "blocked" })).await?.slot(200)?;
        client.delete(removed.uuid).await?.expect(204)?;

        assert_eq!(rule.swallowed(), 2, "both replies were lost");
        assert_eq!(changed.version, 2, "it was changed once");
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 4, "two creates, one change, one delete");
        Ok(())
    })
}

#[test]
fn replies_lost_again_and_again_under_load_lose_and_double_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let rule = Arc::new(SwallowCommitReply::times(8));
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let creates = (0..200).map(|number| {
            let client = client.clone();
            async move { client.created(&format!("Slot {number}")).await }
        });
        let created = try_join_all(creates).await?;
        // What is left to be swallowed is met by single creates, each a batch of its own.
        let mut single = 0;
        while rule.swallowed() < 8 {
            client.created("Single").await?;
            single += 1;
            ensure!(single <= 8, "{} replies were swallowed", rule.swallowed());
        }

        let uuids: BTreeSet<_> = created.iter().map(|slot| slot.uuid).collect();
        assert_eq!(uuids.len(), 200, "each create was answered with a slot of its own");
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 200 + single, "as many events as acknowledged creates");
        Ok(())
    })
}

#[test]
fn a_commit_that_arrives_after_its_client_has_tried_again_happens_once() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let rule = Arc::new(StrandCommit::once());
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let creating = tokio::spawn(async move { client.created("Slot 1").await });
        rule.stranded().await;
        // The second attempt waits behind the first, which holds the commit lock.
        eventually(RECOVERY, "a second attempt waits", async || {
            ensure!(waiting_for_commit_lock(pair).await? == 1, "nobody waits");
            Ok(())
        })
        .await?;
        rule.release();
        let slot = creating.await??;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 1, "one of the two attempts committed");
        assert_eq!(everything.events[0].slot_uuid, slot.uuid);
        assert_eq!(
            everything.events[0].committed_at, slot.updated_at,
            "the answer is that of the attempt that committed"
        );
        Ok(())
    })
}

#[test]
fn a_commit_that_never_arrives_is_made_good_by_the_second_attempt() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let rule = Arc::new(StrandCommit::once());
        pair.links.command_primary.set_rule(Some(rule.clone()));

        // The first attempt stays open until the primary ends a transaction whose client says nothing.
        let slot = client.created("Slot 1").await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 1);
        assert_eq!(everything.events[0].slot_uuid, slot.uuid);
        Ok(())
    })
}

#[test]
fn a_hot_slot_gives_each_change_from_two_instances_its_own_version() -> Result<()> {
    const CHANGES: usize = 120;
    let two = Shape { command_services: 2, ..Shape::default() };
    two.run(async |pair| {
        let clients: Vec<_> = pair.command_services.iter().map(|service| service.client()).collect();
        let slot = clients[0].created("Hot").await?;

        let changes = (0..CHANGES).map(|number| {
            let client = clients[number % clients.len()].clone();
            async move {
                let patch = json!({ "name": format!("Hot {number}") });
                client.change(slot.uuid, patch).await?.slot(200)
            }
        });
        let changed = try_join_all(changes).await?;

        let versions: BTreeSet<i64> = changed.iter().map(|slot| slot.version).collect();
        let expected: BTreeSet<i64> = (2..).take(CHANGES).collect();
        assert_eq!(versions, expected, "each change was answered with its own version");
        let everything = assert_level(pair).await?;
        for slot in &changed {
            let event = everything.events.iter().find(|event| event.version == slot.version);
            assert_eq!(
                event.and_then(|event| event.name.as_deref()),
                Some(slot.name.as_str()),
                "the version that was answered is the version of that change"
            );
        }
        Ok(())
    })
}

#[test]
fn a_slot_that_somebody_holds_stalls_only_its_own_commands() -> Result<()> {
    with_pair(async |pair| {
        in_time(PROMPT, async || Ok(((), slowest_beside_a_held_slot(pair).await?))).await?;
        assert_level(pair).await?;
        Ok(())
    })
}

/// Of the commands on other slots, while one waits for a slot that is held.
async fn slowest_beside_a_held_slot(pair: &Pair) -> Result<Duration> {
    let client = pair.client();
    let (held, free) = (client.created("Held").await?, client.created("Free").await?);
    let hold = pair.primary.hold_slot(held.uuid).await?;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.change(held.uuid, json!({ "name": "Changed" })).await }
    });

    let mut slowest = Duration::ZERO;
    // Sent after the one that waits, so some of these share their batches with it.
    for number in 0..20 {
        let changed = client.change(free.uuid, json!({ "name": format!("Free {number}") })).await?;
        let created = client.create("Another").await?;
        slowest = slowest.max(changed.took).max(created.took);
        changed.slot(200)?;
        created.slot(201)?;
    }
    ensure!(!waiting.is_finished(), "the held slot was changed");
    hold.release().await?;
    assert_eq!(waiting.await??.slot(200)?.version, 2);
    Ok(slowest)
}

#[test]
fn a_command_on_a_slot_that_stays_held_is_refused_in_time_and_leaves_nothing() -> Result<()> {
    let short = Shape { settings: vec![("PARKING__HTTP__COMMAND_DEADLINE_MS", "4500")], ..Shape::default() };
    short.run(async |pair| {
        let client = pair.client();
        let held = client.created("Held").await?;
        let a_second_later = Duration::from_millis(5500);
        let refused = answered_within(a_second_later, async || {
            let hold = pair.primary.hold_slot(held.uuid).await?;
            let refused = client.change(held.uuid, json!({ "name": "Changed" })).await?;
            hold.release().await?;
            Ok(refused)
        });

        assert_eq!(refused.await?.expect(503)?.problem(), "overloaded");
        // A command that comes later sees whether the refused one was carried out after all.
        let next = client.change(held.uuid, json!({ "status": "blocked" })).await?.slot(200)?;
        assert_eq!((next.name.as_str(), next.version), ("Held", 2));
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_batch_whose_commit_reply_is_lost_is_made_once_and_whole() -> Result<()> {
    const SLOTS: usize = 300;
    with_pair(async |pair| {
        let rule = Arc::new(SwallowCommitReply::times(1));
        pair.links.command_primary.set_rule(Some(rule.clone()));
        let names: Vec<_> = (0..SLOTS).map(|number| json!({ "name": format!("Slot {number}") })).collect();

        let reply = pair
            .client()
            .call(Method::POST, "/parking-slots/batch", Some(json!(names)))
            .await?
            .expect(201)?;

        assert_eq!(rule.swallowed(), 1, "the reply to the commit of this batch was lost");
        let answered: Vec<Slot> = serde_json::from_value(reply.body["items"].clone())?;
        let everything = assert_level(pair).await?;
        let logged: Vec<_> =
            everything.events.iter().map(|event| (event.slot_uuid, event.committed_at)).collect();
        let answered: Vec<_> = answered.iter().map(|slot| (slot.uuid, slot.created_at)).collect();
        assert_eq!(logged.len(), SLOTS);
        assert_eq!(logged, answered, "the answer names the slots as they stand in the log, in its order");
        Ok(())
    })
}

pub(crate) async fn waiting_for_commit_lock(pair: &Pair) -> Result<i64> {
    // A bigint key shows as its two halves.
    let sql = "SELECT count(*) FROM pg_locks
               WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND (classid::bigint << 32 | objid::bigint) = $1";
    let key = command_service::primary::commit_lock::COMMIT_LOCK;
    Ok(pair.primary.sql().await?.query_one(sql, &[&key]).await?.try_get(0)?)
}
