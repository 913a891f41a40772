//! Repairs as messages: when they come late, twice, from elsewhere, or cannot be read.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lapin::{BasicProperties, Channel};
use serde_json::json;
use shared::{
    messages::repair::{REPAIR_MAX_SLOTS, Repair, RowWriters, SlotRepair, Target},
    slot::{Slot as DomainSlot, SlotName, SlotStatus, Version},
};
use system_tests::{
    Pair, RECOVERY, Slot, assert_level,
    broker::{Message, publish},
    eventually,
    level::Everything,
    with_pair,
};
use uuid::Uuid;

use super::{assert_right, fill};
use crate::dead_letters::by_hand::{letters_are, listed, run};

const QUEUE: &str = "parking.replica.main";

async fn send(channel: &Channel, content_type: &str, body: &[u8]) -> Result<()> {
    let properties =
        BasicProperties::default().with_content_type(content_type.into()).with_type("parking.repair".into());
    publish(channel, "", QUEUE, &Message { body: body.to_owned(), properties }).await
}

async fn send_repair(channel: &Channel, repair: &Repair) -> Result<()> {
    for body in repair.encode(REPAIR_MAX_SLOTS) {
        send(channel, "application/json", &body).await?;
    }
    Ok(())
}

async fn epoch(pair: &Pair) -> Result<Uuid> {
    Ok(pair.primary.sql().await?.query_one("SELECT epoch FROM epoch", &[]).await?.try_get(0)?)
}

/// What is there of a slot.
async fn found(pair: &Pair, uuid: Uuid) -> Result<RowWriters> {
    let writers = "SELECT (SELECT xmin::text::bigint FROM parking_slots WHERE uuid = $1) AS slot,
                          (SELECT xmin::text::bigint FROM parking_slot_tombstones WHERE uuid = $1) AS tombstone";
    let row = pair.replica.sql().await?.query_one(writers, &[&uuid]).await?;
    Ok(RowWriters { slot: row.try_get("slot")?, tombstone: row.try_get("tombstone")? })
}

/// A repair that can be told from what the log says.
async fn renaming(pair: &Pair, uuid: Uuid, name: &str) -> Result<SlotRepair> {
    let name = SlotName::parse(name)?;
    let slot = DomainSlot { uuid, name, status: SlotStatus::Available, version: Version::FIRST };
    let time = Timestamp::from_second(1)?;
    let target = Target::Live { slot, created_at: time, updated_at: time };
    Ok(SlotRepair { uuid, found: found(pair, uuid).await?, target })
}

/// Waits until what was sent before is applied: the queue is in order.
async fn applied(pair: &Pair) -> Result<()> {
    let write = pair.client().create("A mark").await?.expect(201)?;
    let (receipt, location) = (write.header("Write-Receipt"), write.header("Location"));
    let path = format!("{}?receipt={}", location.context("no place")?, receipt.context("no receipt")?);
    pair.client().get_path(&format!("{path}&wait_ms=20000")).await?.expect(200)?;
    Ok(())
}

async fn name_of(pair: &Pair, uuid: Uuid) -> Result<String> {
    Ok(pair.client().get(uuid).await?.slot(200)?.name)
}

#[test]
fn a_repair_that_comes_after_something_newer_changes_nothing() -> Result<()> {
    with_pair(async |pair| {
        let (client, epoch) = (pair.client(), epoch(pair).await?);
        let slots = crate::outages::create(&client, 4).await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let mut repairs = Vec::new();
        for Slot { uuid, .. } in &slots {
            repairs.push(renaming(pair, *uuid, "Repaired").await?);
        }
        let [changed, deleted, edited, still] = &slots[..] else { anyhow::bail!("four were created") };
        client.change(changed.uuid, json!({ "name": "Changed" })).await?.slot(200)?;
        client.delete(deleted.uuid).await?.expect(204)?;
        let edit = "UPDATE parking_slots SET name = 'Edited' WHERE uuid = $1";
        applied(pair).await?;
        pair.replica.sql().await?.execute(edit, &[&edited.uuid]).await?;

        send_repair(&channel, &Repair::of_slots(epoch, repairs)).await?;
        applied(pair).await?;

        assert_eq!(name_of(pair, changed.uuid).await?, "Changed", "an event came first");
        client.get(deleted.uuid).await?.expect(404)?;
        assert_eq!(name_of(pair, edited.uuid).await?, "Edited", "a hand came first");
        assert_eq!(name_of(pair, still.uuid).await?, "Repaired", "nobody came first");
        Ok(())
    })
}

#[test]
fn a_repair_that_comes_twice_changes_nothing_the_second_time() -> Result<()> {
    with_pair(async |pair| {
        let (client, epoch) = (pair.client(), epoch(pair).await?);
        let slot = client.created("Slot").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let repair = Repair::of_slots(epoch, vec![renaming(pair, slot.uuid, "Repaired").await?]);
        send_repair(&channel, &repair).await?;
        applied(pair).await?;
        let first = found(pair, slot.uuid).await?;

        send_repair(&channel, &repair).await?;
        applied(pair).await?;

        assert_eq!(name_of(pair, slot.uuid).await?, "Repaired");
        assert_eq!(found(pair, slot.uuid).await?, first, "it was not written again");
        Ok(())
    })
}

#[test]
fn a_repair_of_another_epoch_changes_nothing_and_holds_nothing_up() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        let slot = pair.client().created("Slot").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let sql = pair.replica.sql().await?;
        sql.batch_execute("UPDATE parking_slot_summary SET slots = 77 WHERE status = 'blocked'").await?;

        let slots = vec![renaming(pair, slot.uuid, "Repaired").await?];
        send_repair(&channel, &Repair::of_slots(Uuid::now_v7(), slots)).await?;
        send_repair(&channel, &Repair::of_summary(Uuid::now_v7())).await?;
        applied(pair).await?;

        assert_eq!(name_of(pair, slot.uuid).await?, "Slot");
        let summary = pair.client().summary().await?.expect(200)?;
        assert_eq!(summary.body["by_status"]["blocked"], json!(77));
        assert_eq!(listed(pair).await?.len(), 0, "it is no dead letter either");
        Ok(())
    })
}

#[test]
fn a_repair_touches_nothing_of_what_is_noted_as_applied() -> Result<()> {
    with_pair(async |pair| {
        let slots = fill(&pair.client()).await?;
        let before = assert_level(pair).await?;
        let epoch = epoch(pair).await?;
        // Nobody tells of anything newer.
        pair.command_service().stop().await?;
        let as_of = async || anyhow::Ok(Everything::read(&pair.primary, &pair.replica).await?.status);
        let noted = as_of().await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let sql = pair.replica.sql().await?;
        sql.batch_execute("DELETE FROM parking_slot_summary WHERE status = 'blocked'").await?;
        sql.batch_execute("INSERT INTO parking_slot_summary VALUES ('flying', 3)").await?;

        send_repair(&channel, &Repair::of_slots(epoch, vec![renaming(pair, slots[1], "Repaired").await?]))
            .await?;
        send_repair(&channel, &Repair::of_summary(epoch)).await?;

        eventually(RECOVERY, "the summary is right again", async || {
            let everything = Everything::read(&pair.primary, &pair.replica).await?;
            ensure!(everything.summary == before.summary, "it says {:?}", everything.summary);
            Ok(())
        })
        .await?;
        let rows = Everything::read(&pair.primary, &pair.replica).await?;
        assert!(rows.replica.iter().any(|row| row.name == "Repaired"), "the slot was repaired first");
        assert_eq!(as_of().await?, noted);
        Ok(())
    })
}

#[test]
fn repairs_that_cannot_be_read_are_dead_letters_without_a_position() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        let repair = Repair::of_summary(epoch(pair).await?).encode(REPAIR_MAX_SLOTS);
        let unknown = json!({ "epoch": Uuid::nil(), "slots": [], "all": true }).to_string();
        let garbage: [(&str, &[u8], &str); 6] = [
            ("application/json", b"not JSON", "no JSON"),
            ("application/json", b"[]", "no object"),
            ("application/json", unknown.as_bytes(), "what that means, nobody knows"),
            ("text/plain", &repair[0], "another content type"),
            ("application/cloudevents-batch+json", b"[ ]", "events, it says, and repairs, it says"),
            ("application/json", &[b' '; 2 * 1024 * 1024], "more than any message holds"),
        ];

        for (content_type, body, _) in garbage {
            send(&channel, content_type, body).await?;
        }
        letters_are(pair, 6).await?;

        let dead_letters = listed(pair).await?;
        for (dead_letter, (.., reason)) in dead_letters.iter().zip(garbage) {
            assert_eq!(
                (&dead_letter["position"], &dead_letter["type"]),
                (&json!(null), &json!("parking.repair")),
                "{reason}"
            );
        }
        run(pair, &["retry", "--all"]).await?.expect(1)?;
        let ids: Vec<String> = dead_letters.iter().map(|letter| letter["id"].to_string()).collect();
        let discard: Vec<&str> = ["discard"].into_iter().chain(ids.iter().map(String::as_str)).collect();
        run(pair, &discard).await?.expect(0)?;
        fill(&pair.client()).await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn the_letter_of_a_refused_repair_changes_nothing_newer_and_nothing_of_another_epoch() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slots = crate::outages::create(&client, 2).await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let sql = pair.replica.sql().await?;
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        for Slot { uuid, .. } in &slots {
            let repair = Repair::of_slots(epoch(pair).await?, vec![renaming(pair, *uuid, "culprit").await?]);
            send_repair(&channel, &repair).await?;
        }
        letters_are(pair, 2).await?;
        pair.replica.accept_culprits().await?;
        client.change(slots[0].uuid, json!({ "name": "Changed" })).await?.slot(200)?;
        assert_right_but_for_letters(pair).await?;

        let late = run(pair, &["retry", "1"]).await?.expect(0)?;
        pair.command_service().stop().await?;
        pair.event_consumer().stop().await?;
        sql.batch_execute("UPDATE replication_status SET epoch = gen_random_uuid()").await?;
        let foreign = run(pair, &["retry", "2"]).await?.expect(1)?;

        assert_eq!(late.text()?, "1: applied\n", "there is nothing left to do");
        let foreign = foreign.text()?.to_owned();
        assert_eq!(foreign, "2: failed: it is a repair of another epoch than the replica holds\n");
        let names = sql.query("SELECT name FROM parking_slots ORDER BY created_at", &[]).await?;
        let names: Vec<String> = names.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        assert_eq!(names, ["Changed", &slots[1].name]);
        Ok(())
    })
}

/// Letters without a position keep nothing back.
async fn assert_right_but_for_letters(pair: &Pair) -> Result<()> {
    eventually(RECOVERY, "all is applied", async || assert_right(pair).await.map(|_| ())).await
}
