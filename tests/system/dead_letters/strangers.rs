//! Messages of an epoch that is neither the replica's nor the primary's: another installation uses the same broker.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use lapin::{BasicProperties, Channel};
use shared::messages::watermark::Watermark;
use system_tests::{
    Pair, RECOVERY, assert_level,
    broker::{Message, publish},
    eventually,
    load::{Load, MIXED},
    program::Run,
    random::seed,
    with_pair,
};
use uuid::Uuid;

use super::{
    BATCH,
    by_hand::{letters_are, listed, run},
    flood, publish_as_stranger,
};

/// How soon a restored primary must be named while writes go on.
const NAMED_WITHIN: Duration = Duration::from_secs(20);

async fn publish_event(channel: &Channel, number: usize) -> Result<()> {
    publish_as_stranger(channel, BATCH, format!("[{}]", flood::event(number)?).as_bytes()).await
}

async fn publish_watermark(channel: &Channel) -> Result<()> {
    let watermark = Watermark { epoch: Uuid::now_v7(), position: 1_000_000, as_of: Timestamp::UNIX_EPOCH };
    let properties = BasicProperties::default().with_content_type("application/json".into());
    let message = Message { body: watermark.encode(), properties };
    publish(channel, "parking.events", "parking.watermark", &message).await
}

/// The stranger's one letter is the only trace of it, and nobody was sent to a rebuild, which would not help.
async fn is_settled_without_a_rebuild(pair: &Pair) -> Result<()> {
    letters_are(pair, 1).await?;
    discard_letters_of_strangers(pair).await?;
    assert_level(pair).await?;
    pair.ready().await?;
    ensure!(!was_told_to_rebuild(pair)?, "a rebuild would not help");
    Ok(())
}

/// The letters are those of strangers, and settle nothing; they are discarded.
async fn discard_letters_of_strangers(pair: &Pair) -> Result<()> {
    for letter in listed(pair).await? {
        let reason = letter["reason"].as_str().unwrap_or_default();
        ensure!(letter["position"].is_null() && reason.contains("another installation"), "{letter}");
        run(pair, &["discard", &letter["id"].to_string()]).await?.expect(0)?;
    }
    Ok(())
}

fn was_told_to_rebuild(pair: &Pair) -> Result<bool> {
    Ok(pair.event_consumer().log()?.contains("run event-consumer rebuild"))
}

#[test]
fn a_message_of_another_installation_is_a_dead_letter_and_stops_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;

        publish_event(&channel, 1).await?;
        let after = client.created("After").await?;

        // Nobody waits for the judgement.
        eventually(RECOVERY, "what comes after is applied", async || client.get(after.uuid).await?.slot(200))
            .await?;
        is_settled_without_a_rebuild(pair).await
    })
}

#[test]
fn messages_of_another_installation_come_all_the_time_and_stop_nothing() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let load = Load::start(&[pair.client()], 4, MIXED, seed());

        for number in 0..100 {
            publish_event(&channel, number).await?;
            publish_watermark(&channel).await?;
            load.progress(2).await?;
        }
        load.finish().await?;

        letters_are(pair, 100).await?;
        discard_letters_of_strangers(pair).await?;
        assert_level(pair).await?;
        pair.ready().await?;
        ensure!(!was_told_to_rebuild(pair)?, "a rebuild would not help");
        Ok(())
    })
}

#[test]
fn a_message_of_another_installation_waits_while_no_relay_is_heard() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        pair.command_service().stop().await?;

        publish_event(&channel, 1).await?;

        let consumer = pair.event_consumer().client();
        eventually(RECOVERY, "the consumer says what it waits for", async || {
            let body = consumer.readyz().await?.expect(503)?.body;
            let detail = body["dependencies"]["epoch"]["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("start command-service"), "it says {body}");
            Ok(())
        })
        .await?;
        // What is advised helps.
        pair.command_service().start().await?;
        is_settled_without_a_rebuild(pair).await
    })
}

#[test]
fn a_restored_primary_is_named_soon_while_writes_and_strangers_go_on() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let load = Load::start(&[pair.client()], 4, MIXED, seed());
        load.progress(20).await?;

        Run::command_service(pair, &["migrate", "--new-epoch"])?.end().await?.expect(0)?;
        let since = Instant::now();
        publish_event(&channel, 1).await?;
        let consumer = pair.event_consumer().client();
        eventually(RECOVERY, "the consumer names the way out", async || {
            let body = consumer.readyz().await?.body;
            let detail = body["dependencies"]["epoch"]["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("run event-consumer rebuild"), "it says {body}");
            Ok(())
        })
        .await?;
        let named_after = since.elapsed();
        load.finish().await?;

        println!("a restored primary is named after {named_after:?}");
        ensure!(named_after < NAMED_WITHIN, "only after {named_after:?}");
        Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(0)?;
        discard_letters_of_strangers(pair).await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
