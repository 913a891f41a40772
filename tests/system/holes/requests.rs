//! Requests for a replay, and what becomes of those that are of no use.

use anyhow::{Context, Result, ensure};
use lapin::{
    BasicProperties,
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::FieldTable,
};
use system_tests::{
    Pair, RECOVERY, assert_level,
    broker::{Message, publish, waiting_in},
    eventually, with_pair,
};

use super::{QUEUE, messages_wait};

const REQUESTS: &str = "parking.replay";

#[test]
fn requests_that_make_no_sense_are_passed_over_and_hold_up_nobody() -> Result<()> {
    let nonsense: [(&[u8], &str); 11] = [
        (b"", "nothing"),
        (b"\xff", "no text"),
        (b"[]", "no object"),
        (b"{\"replica\":\"main\"}", "no range"),
        (b"{\"replica\":\"Main!\",\"from\":1,\"to\":1}", "no name of a replica"),
        (b"{\"replica\":\"main.rebuild.rebuild\",\"from\":1,\"to\":1}", "no copy of a replica"),
        (b"{\"replica\":\"main\",\"from\":2,\"to\":1}", "from beyond to"),
        (b"{\"replica\":\"main\",\"from\":0,\"to\":1}", "no position"),
        (b"{\"replica\":\"main\",\"from\":-9223372036854775808,\"to\":1}", "far from a position"),
        (b"{\"replica\":\"main\",\"from\":1,\"to\":10001}", "10,001 positions"),
        (b"{\"replica\":\"main\",\"from\":\"1\",\"to\":\"1\"}", "text for numbers"),
    ];
    let useless: [(&[u8], &str); 3] = [
        (b"{\"replica\":\"nobody\",\"from\":1,\"to\":3}", "a replica without a queue"),
        (b"{\"replica\":\"main\",\"from\":1000,\"to\":2000}", "beyond the end of the log"),
        (
            b"{\"replica\":\"main\",\"from\":9223372036854775806,\"to\":9223372036854775806}",
            "the last number that is a position",
        ),
    ];
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        pair.event_consumer().kill()?;
        crate::outages::create(&pair.client(), 3).await?;
        messages_wait(&channel, 1).await?;

        for (body, _) in nonsense.iter().chain(&useless) {
            let request = Message { body: body.to_vec(), properties: BasicProperties::default() };
            publish(&channel, "", REQUESTS, &request).await?;
        }
        let wanted =
            Message { body: br#"{"replica":"main","from":1,"to":3}"#.to_vec(), ..Message::default() };
        eventually(RECOVERY, "every request is taken", async || {
            let waiting = waiting_in(&channel, REQUESTS).await?;
            ensure!(waiting == 0, "{waiting} wait");
            Ok(())
        })
        .await?;
        channel.queue_purge(QUEUE.into(), QueuePurgeOptions { nowait: false }).await?;
        publish(&channel, "", REQUESTS, &wanted).await?;

        messages_wait(&channel, 1).await?;
        pair.event_consumer().start().await?;
        assert_level(pair).await?;
        let lines = pair.command_service().log_lines()?;
        let passed_over =
            lines.iter().filter(|line| line["message"] == "request for a replay passed over").count();
        assert_eq!(passed_over, nonsense.len(), "of {:?}", nonsense.map(|(_, reason)| reason));
        let unrouted = |line: &&serde_json::Value| {
            line["message"] == "a replica without a queue asked for a replay" && line["replica"] == "nobody"
        };
        assert_eq!(lines.iter().filter(unrouted).count(), 1, "of {:?}", useless[0].1);
        pair.ready().await
    })
}

/// What the consumer says of the log: whether what it asks for comes.
async fn log_dependency(pair: &Pair) -> Result<(u16, serde_json::Value)> {
    let reply = pair.event_consumer().client().readyz().await?;
    Ok((reply.status.as_u16(), reply.body["dependencies"]["log"].clone()))
}

#[test]
fn what_is_asked_for_in_vain_is_named_until_it_comes_and_no_receipt_of_it_holds_before() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_connection, channel) = pair.broker.channel().await?;
        pair.event_consumer().kill()?;
        let lost = client.create("Lost").await?.expect(201)?;
        messages_wait(&channel, 1).await?;
        channel.queue_purge(QUEUE.into(), QueuePurgeOptions { nowait: false }).await?;
        let later = client.created("Later").await?;
        messages_wait(&channel, 1).await?;
        // Nobody answers from now on.
        pair.links.relay_broker.cut().await;
        pair.event_consumer().start().await?;
        eventually(RECOVERY, "what came later is visible", async || client.get(later.uuid).await?.slot(200))
            .await?;
        let receipt = lost.header("Write-Receipt").context("no receipt")?;
        let path = format!("{}?receipt={receipt}", lost.header("Location").context("no location")?);

        let early = client.get_path(&format!("{path}&wait_ms=0")).await?.expect(504)?;
        let named = eventually(RECOVERY, "the lost position is named", async || {
            let (status, log) = log_dependency(pair).await?;
            ensure!(log["state"] == "down", "it says {log}");
            ensure!(status == 200, "a consumer that can apply events is of use");
            log["detail"].as_str().map(str::to_owned).context("no detail")
        })
        .await?;
        let still_early = client.get_path(&format!("{path}&wait_ms=0")).await?.expect(504)?;
        pair.links.relay_broker.restore()?;
        let in_time = eventually(RECOVERY, "the lost write is there", async || {
            client.get_path(&format!("{path}&wait_ms=5000")).await?.expect(200)
        })
        .await?;

        assert_eq!((early.problem(), still_early.problem()), ("replica-behind", "replica-behind"));
        assert_eq!(named, "positions 1 to 1 were asked for again and again in vain");
        assert_eq!(in_time.header("Freshness-Result"), Some("satisfied"));
        assert_eq!(in_time.body, lost.body);
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_queue_of_requests_of_another_kind_is_named_and_nothing_is_lost_once_it_is_deleted() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        let delete = || {
            channel.queue_delete(
                REQUESTS.into(),
                QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false },
            )
        };
        pair.command_service().stop().await?;
        delete().await?;
        let of_another_kind = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
        };
        channel.queue_declare(REQUESTS.into(), of_another_kind, FieldTable::default()).await?;
        pair.command_service().start().await?;
        pair.event_consumer().stop().await?;
        crate::outages::create(&pair.client(), 3).await?;
        messages_wait(&channel, 1).await?;
        channel.queue_purge(QUEUE.into(), QueuePurgeOptions { nowait: false }).await?;
        pair.event_consumer().start().await?;

        eventually(RECOVERY, "the consumer says that it cannot ask", async || {
            let (_, log) = log_dependency(pair).await?;
            let detail = log["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("cannot be asked for"), "it says {log}");
            Ok(())
        })
        .await?;
        let lines = pair.event_consumer().log_lines()?;
        ensure!(
            lines.iter().any(|line| line["cause"].as_str().is_some_and(|cause| cause.contains("durable"))),
            "the log names no argument"
        );
        delete().await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
