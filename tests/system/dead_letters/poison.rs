//! Real messages damaged on their way: what was lost by the damage comes again from the log.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel,
    options::{BasicCancelOptions, BasicConsumeOptions},
    types::FieldTable,
};
use reqwest::Method;
use serde_json::{Value, json, value::RawValue};
use shared::{broker::topology::REPLAY_QUEUE, messages::replay::ReplayRequest};
use system_tests::{
    Pair, RECOVERY, Reply, assert_level,
    broker::{Message, publish, take},
    eventually,
    level::Everything,
    with_pair,
};

use super::{
    BATCH,
    by_hand::{letters_are, listed, run},
};

const QUEUE: &str = "parking.replica.main";

/// The events that wait in the replica's queue, by position; the queue is empty then. Nobody else may consume it.
async fn take_events(channel: &Channel, count: usize) -> Result<BTreeMap<i64, String>> {
    let options = BasicConsumeOptions { no_local: false, no_ack: true, exclusive: false, nowait: false };
    let mut messages =
        channel.basic_consume(QUEUE.into(), "test".into(), options, FieldTable::default()).await?;
    let mut events = BTreeMap::new();
    let taking = async {
        while events.len() < count {
            let message = messages.next().await.context("the queue is gone")??;
            let batch: Vec<Box<RawValue>> = serde_json::from_slice(&message.data)?;
            for event in batch {
                let sequence = serde_json::from_str::<Value>(event.get())?["sequence"].clone();
                events.insert(sequence.as_str().context("no sequence")?.parse()?, event.get().to_owned());
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(RECOVERY, taking).await.context("too few events come")??;
    channel.basic_cancel("test".into(), BasicCancelOptions { nowait: false }).await?;
    Ok(events)
}

/// A message of these events, as the relay makes it.
fn message_of(first: i64, last: i64, events: &[&str]) -> Message {
    let properties = BasicProperties::default()
        .with_content_type(BATCH.into())
        .with_message_id(format!("{first}-{last}/{}", events.len()).into())
        .with_type("parking.create".into());
    Message { body: format!("[{}]", events.join(",")).into_bytes(), properties }
}

/// What becomes of an event on its way.
pub(super) type Damage = fn(&str) -> String;

pub(super) const DAMAGES: [(Damage, &str); 13] = [
    (|event| event.replace("\"available\"", "\"flying\""), "a status that nobody knows"),
    (|event| event.replace("slot:1", "slot:2"), "a newer schema"),
    (|event| event.replace("parking.create", "parking.move"), "a type that nobody knows"),
    (|event| event.replace("\"version\":1", "\"version\":0"), "version 0"),
    (|event| event.replace("\"version\":1", "\"version\":-1"), "a version below 0"),
    (|event| event.replace("\"version\":1", "\"version\":9223372036854775807"), "a version without end"),
    (|event| event.replace("Slot", "\\u0000"), "NUL in the name"),
    (|event| event.replace("\"sequence\":\"0", "\"sequence\":\""), "a position in 18 digits"),
    (|event| event.replace("\"1.0\"", "\"2.0\""), "another specification"),
    (|event| event.replace("\"data\"", "\"date\""), "nothing of the slot"),
    (|event| event.replace('}', ""), "JSON cut off, so that the whole message cannot be read"),
    (|event| format!("{}{event}{}", "[".repeat(10_000), "]".repeat(10_000)), "deeply nested"),
    (|event| event.replace("Slot", &"x".repeat(1024 * 1024)), "a message of a MiB"),
];

#[test]
fn events_damaged_inside_messages_come_again_from_the_log() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_connection, channel) = pair.broker.channel().await?;
        pair.event_consumer().kill()?;
        let slots: Vec<_> = (0..DAMAGES.len() * 3).map(|_| json!({ "name": "Slot" })).collect();
        client.call(Method::POST, "/parking-slots/batch", Some(json!(slots))).await?.expect(201)?;
        let events = take_events(&channel, slots.len()).await?;

        for ((damage, _), first) in DAMAGES.iter().zip((1..).step_by(3)) {
            let damaged = damage(&events[&(first + 1)]);
            ensure!(damaged != events[&(first + 1)], "nothing is damaged");
            let message = message_of(first, first + 2, &[&events[&first], &damaged, &events[&(first + 2)]]);
            publish(&channel, "parking.events", "parking.create", &message).await?;
        }
        pair.event_consumer().start().await?;

        eventually(RECOVERY, "every event is applied", async || {
            let everything = Everything::read(&pair.primary, &pair.replica).await?;
            ensure!(everything.replica.len() == slots.len(), "{} slots", everything.replica.len());
            Ok(())
        })
        .await?;
        let letters = listed(pair).await?;
        assert_eq!(letters.len(), DAMAGES.len(), "one for each of {:?}", DAMAGES.map(|(_, name)| name));
        assert!(letters.iter().all(|letter| letter["position"].is_null()), "{letters:?}");
        for letter in letters {
            run(pair, &["discard", &letter["id"].to_string()]).await?.expect(0)?;
        }
        assert_level(pair).await?;
        Ok(())
    })
}

/// Whether a read that hands the receipt back is answered now, and how.
async fn read_own(pair: &Pair, write: &Reply) -> Result<Reply> {
    let receipt = write.header("Write-Receipt").context("no receipt")?;
    let location = write.header("Location").context("no location")?;
    pair.client().get_path(&format!("{location}?receipt={receipt}&wait_ms=0")).await
}

/// Answers the next request for a replay in place of the relay, with events that cannot be read; how many at once.
async fn answer_with_damaged(channel: &Channel, damaged: &BTreeMap<i64, String>) -> Result<usize> {
    let request = eventually(RECOVERY, "the consumer asks", async || {
        take(channel, REPLAY_QUEUE).await?.context("no request")
    })
    .await?;
    let request = ReplayRequest::decode(&request.body)?;
    let (first, last) = (request.from.get(), request.to.get());
    let events: Vec<&str> = damaged.range(first..=last).map(|(_, event)| event.as_str()).collect();
    publish(channel, "", QUEUE, &message_of(first, last, &events)).await?;
    Ok(events.len())
}

#[test]
fn what_cannot_be_read_when_it_comes_again_alone_is_set_aside_with_its_position() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_connection, channel) = pair.broker.channel().await?;
        pair.event_consumer().kill()?;
        let one = client.create("One").await?.expect(201)?;
        let other = client.create("Other").await?.expect(201)?;
        let after = client.created("After").await?;
        let events = take_events(&channel, 3).await?;
        // The relay is played by this test: it sends what only a newer consumer can read.
        pair.links.relay_broker.cut().await;
        publish(&channel, "", QUEUE, &message_of(3, 3, &[&events[&3]])).await?;
        let newer = [1, 2].map(|position| (position, events[&position].replace("slot:1", "slot:2")));
        let newer = BTreeMap::from(newer);
        pair.event_consumer().start().await?;
        eventually(RECOVERY, "what came after is visible", async || client.get(after.uuid).await?.slot(200))
            .await?;

        let together = answer_with_damaged(&channel, &newer).await?;
        letters_are(pair, 2).await?;
        let of_no_position = listed(pair).await?;
        let too_early = read_own(pair, &one).await?;
        while answer_with_damaged(&channel, &newer).await? > 1 {}
        answer_with_damaged(&channel, &newer).await?;
        eventually(RECOVERY, "both positions are settled", async || {
            let applied = Everything::read(&pair.primary, &pair.replica).await?.status.applied;
            ensure!(applied == "{[0,4)}", "applied is {applied}");
            Ok(())
        })
        .await?;

        assert_eq!(together, 2, "at first both are asked for at once");
        assert!(of_no_position.iter().all(|letter| letter["position"].is_null()), "{of_no_position:?}");
        assert_eq!(too_early.problem(), "replica-behind", "what cannot be read settles nothing yet");
        let settled = listed(pair).await?;
        let mut positions: Vec<_> = settled.iter().map(|letter| letter["position"].as_i64()).collect();
        positions.sort_unstable();
        assert_eq!(positions, [Some(1), Some(2)], "the same letters, now with their positions");
        for write in [&one, &other] {
            let refused = read_own(pair, write).await?.expect(409)?;
            assert_eq!(refused.problem(), "dead-lettered");
        }
        let read = client.get(after.uuid).await?.expect(200)?;
        assert_eq!(read.header("Freshness-Missing"), Some("2"));
        retried_too_early(pair).await?;
        retried_by_one_that_knows_it(pair, &[one, other]).await
    })
}

/// A retry before the consumer is renewed: the letters stay, with both reasons.
async fn retried_too_early(pair: &Pair) -> Result<()> {
    run(pair, &["retry", "--all"]).await?.expect(1)?;

    for letter in listed(pair).await? {
        let reason = "dataschema: is not one that this consumer knows";
        assert_eq!((&letter["reason"], &letter["last_retry_reason"]), (&json!(reason), &json!(reason)));
        assert_eq!(letter["retries"], 1);
    }
    Ok(())
}

/// A retry by a consumer to which the newer schema is nothing new.
async fn retried_by_one_that_knows_it(pair: &Pair, writes: &[Reply]) -> Result<()> {
    // There is no such consumer yet: the letters are made what it would take them for.
    let known = "UPDATE dead_letters
                 SET body = convert_to(replace(convert_from(body, 'UTF8'), 'slot:2', 'slot:1'), 'UTF8')";
    pair.replica.sql().await?.batch_execute(known).await?;

    run(pair, &["retry", "--all"]).await?.expect(0)?;

    for write in writes {
        let read = read_own(pair, write).await?.expect(200)?;
        assert_eq!(read.header("Freshness-Result"), Some("satisfied"));
    }
    pair.links.relay_broker.restore()?;
    assert_level(pair).await?;
    Ok(())
}
