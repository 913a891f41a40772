//! What cannot be read or applied is dead-lettered and holds nothing up; what is dead-lettered can be looked at and retried.

mod poison;
mod flood;
pub(crate) mod by_hand;
mod retries;
mod refusals;
mod strangers;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use lapin::{BasicProperties, Channel};
use system_tests::{
    Pair, RECOVERY, assert_level,
    broker::{Message, publish},
    eventually,
    level::Everything,
    with_pair,
};

const BATCH: &str = "application/cloudevents-batch+json";

async fn publish_as_stranger(channel: &Channel, content_type: &str, body: &[u8]) -> Result<()> {
    let properties =
        BasicProperties::default().with_content_type(content_type.into()).with_type("parking.create".into());
    let message = Message { body: body.to_owned(), properties };
    publish(channel, "parking.events", "parking.create", &message).await
}

async fn letters(pair: &Pair) -> Result<i64> {
    let row = pair.replica.sql().await?.query_one("SELECT count(*) FROM dead_letters", &[]).await?;
    Ok(row.try_get(0)?)
}

#[test]
fn messages_that_cannot_be_read_are_set_aside_once_and_hold_nothing_up() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Before").await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let poison: [(&str, &[u8], &str); 9] = [
            (BATCH, b"not JSON", "no JSON"),
            (BATCH, b"{}", "no array"),
            (BATCH, b"[{\"specversion\":\"1.0\"}]", "no event"),
            (BATCH, b"[\"\\u0000\"]", "an escaped NUL"),
            (BATCH, b"\xff\xfe[", "no UTF-8"),
            (BATCH, b"", "nothing at all"),
            (BATCH, deep.as_bytes(), "deeply nested"),
            ("text/plain", b"[]", "another content type"),
            (BATCH, &[b' '; 2 * 1024 * 1024], "more than any message holds"),
        ];

        for (content_type, body, _) in poison {
            publish_as_stranger(&channel, content_type, body).await?;
        }
        // The same bytes again are the same letter.
        publish_as_stranger(&channel, BATCH, b"not JSON").await?;
        let after = client.created("After").await?;

        let applied = eventually(RECOVERY, "what comes after is applied", async || {
            client.get(after.uuid).await?.slot(200)
        })
        .await?;
        assert_eq!(applied, after);
        assert_eq!(
            letters(pair).await?,
            9,
            "one letter for each of {:?}",
            poison.map(|(_, _, reason)| reason)
        );
        let unsettled = "SELECT count(*) FROM dead_letters WHERE position IS NOT NULL OR reason = ''";
        let odd: i64 = pair.replica.sql().await?.query_one(unsettled, &[]).await?.try_get(0)?;
        assert_eq!(odd, 0, "what could not be read settles no position, and each says why");
        let everything = Everything::read(&pair.primary, &pair.replica).await?;
        assert_eq!(everything.status.applied, "{[0,3)}", "both creates are applied");
        Ok(())
    })
}

#[test]
fn an_event_that_the_replica_refuses_is_set_aside_alone() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;

        // Asked at once, so that culprits and innocents share messages and batches.
        let asked = (0..100).map(|number| {
            let client = client.clone();
            let kind = if number % 25 == 7 { "culprit" } else { "innocent" };
            async move { client.created(&format!("{kind} {number}")).await }
        });
        try_join_all(asked).await?;

        eventually(RECOVERY, "all 100 positions are settled", async || {
            let everything = Everything::read(&pair.primary, &pair.replica).await?;
            ensure!(everything.status.applied == "{[0,101)}", "applied is {}", everything.status.applied);
            Ok(())
        })
        .await?;
        let everything = Everything::read(&pair.primary, &pair.replica).await?;
        assert_eq!(everything.replica.len(), 96, "every innocent event is applied");
        let sql = pair.replica.sql().await?;
        let rows = sql.query("SELECT position, body FROM dead_letters ORDER BY position", &[]).await?;
        let positions: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let culprits = everything
            .events
            .iter()
            .filter(|event| event.name.as_deref().is_some_and(|name| name.starts_with("culprit")));
        assert_eq!(positions, culprits.map(|event| event.position).collect::<Vec<_>>());
        for row in &rows {
            let body: Vec<u8> = row.try_get("body")?;
            let event: serde_json::Value = serde_json::from_slice(&body).context("the body is the event")?;
            ensure!(
                event["data"]["name"].as_str().is_some_and(|name| name.starts_with("culprit")),
                "the event was kept to the letter: {event}"
            );
        }
        Ok(())
    })
}

#[test]
fn an_error_that_is_not_the_events_fault_holds_everything_until_it_is_gone() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let consumer = pair.event_consumer().client();
        for (number, fault) in ["no disk", "no privilege", "read-only"].into_iter().enumerate() {
            set(pair, fault, true).await?;
            client.created(&format!("culprit {number}")).await?;
            eventually(RECOVERY, "the consumer says that it cannot work", async || {
                consumer.readyz().await?.expect(503)
            })
            .await?;

            assert_eq!(letters(pair).await?, 0, "{fault}: nothing is dead-lettered");
            set(pair, fault, false).await?;

            let everything = assert_level(pair).await?;
            assert_eq!(everything.replica.len(), number + 1, "{fault}: it is applied once the fault is gone");
        }
        Ok(())
    })
}

/// Makes the replica unable to work, or able again.
async fn set(pair: &Pair, fault: &str, is_there: bool) -> Result<()> {
    let sql = match (fault, is_there) {
        ("no disk", true) => return pair.replica.refuse_culprits("parking_slots", "53100").await,
        ("no disk", false) => return pair.replica.accept_culprits().await,
        ("no privilege", true) => "REVOKE INSERT ON parking_slots FROM event_consumer".to_owned(),
        ("no privilege", false) => "GRANT INSERT ON parking_slots TO event_consumer".to_owned(),
        (_, is_there) => {
            format!(
                "ALTER ROLE event_consumer IN DATABASE {} SET default_transaction_read_only = {is_there}",
                pair.replica.name
            )
        }
    };
    pair.replica.sql().await?.batch_execute(&sql).await?;
    // Who is connected has the old setting.
    pair.replica.end_connections_of("projection").await?;
    Ok(())
}
