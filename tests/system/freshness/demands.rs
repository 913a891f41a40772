//! What a read may demand, how long it waits, and what it is answered when that was not long enough.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{Client, Reply, answered_within, assert_level, with_pair};

use super::{created, resources, result};

/// How soon an answer comes for which nothing is waited.
const AT_ONCE: Duration = Duration::from_secs(1);

fn behind(reply: Reply) -> Result<Reply> {
    let reply = reply.expect(504)?;
    assert_eq!(reply.problem(), "replica-behind");
    let seconds: u32 = reply.header("retry-after").context("no Retry-After")?.parse()?;
    ensure!(seconds >= 1, "Retry-After: {seconds}");
    Ok(reply)
}

async fn at_once(client: &Client, read: &str) -> Result<Reply> {
    answered_within(AT_ONCE, async || client.get_path(read).await).await.with_context(|| read.to_owned())
}

/// The answer, which comes when the wait is over and soon thereafter.
async fn after_a_wait(client: &Client, read: &str, wait_ms: u64) -> Result<Reply> {
    let wait = Duration::from_millis(wait_ms);
    let answered = answered_within(wait + AT_ONCE, async || client.get_path(read).await).await;
    let reply = answered.with_context(|| read.to_owned())?;
    ensure!(reply.took >= wait, "{read} waited only {:?}", reply.took);
    Ok(reply)
}

#[test]
fn demands_that_are_no_demands_are_refused_by_every_read() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, receipt) = created(&client, "Slot 1").await?;
        let (cut, long) = (&receipt[..receipt.len() - 1], "A".repeat(201));
        let many = vec![format!("receipt={receipt}"); 17].join("&");
        let with_cut = format!("receipt={receipt}&receipt={cut}");
        let cases = [
            ("receipt=", "malformed-receipt", "nothing at all"),
            ("receipt=nonsense", "malformed-receipt", "no receipt"),
            ("receipt=%00", "malformed-receipt", "a NUL"),
            ("receipt=%C3%A4", "malformed-receipt", "no ASCII"),
            (&format!("receipt={cut}"), "malformed-receipt", "its last character is missing"),
            (&format!("receipt={receipt}A"), "malformed-receipt", "a character too many"),
            (&format!("receipt={long}"), "malformed-receipt", "longer than any"),
            (&with_cut, "malformed-receipt", "one of two is good"),
            (&many, "invalid-parameter", "17 receipts"),
            ("max_staleness_ms=", "invalid-parameter", "no number"),
            ("max_staleness_ms=soon", "invalid-parameter", "a word"),
            ("max_staleness_ms=-1", "invalid-parameter", "below 0"),
            ("max_staleness_ms=1.5", "invalid-parameter", "no whole number"),
            ("max_staleness_ms=86400001", "invalid-parameter", "more than a day"),
            ("max_staleness_ms=1&max_staleness_ms=1", "invalid-parameter", "twice"),
            ("consistency=", "invalid-parameter", "no word"),
            ("consistency=STRONG", "invalid-parameter", "in capitals"),
            ("consistency=strong&consistency=strong", "invalid-parameter", "twice"),
            ("wait_ms=30001", "invalid-parameter", "more than half a minute"),
            ("wait_ms=-0", "invalid-parameter", "a sign"),
            ("wait_ms=1&wait_ms=1", "invalid-parameter", "twice"),
            ("on_timeout=never", "invalid-parameter", "no such way"),
            ("on_timeout=stale&on_timeout=fail", "invalid-parameter", "twice"),
            ("freshness=strong", "invalid-parameter", "no such parameter"),
        ];

        for path in resources(&slot) {
            for (query, problem, reason) in &cases {
                let reply = at_once(&client, &format!("{path}?{query}")).await?;
                let reply = reply.expect(400).with_context(|| format!("{path}?{query}: {reason}"))?;
                assert_eq!(reply.problem(), *problem, "{path}?{query}: {reason}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_bounds_of_every_demand_are_taken() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, receipt) = created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        let sixteen = vec![format!("receipt={receipt}"); 16].join("&");

        for path in resources(&slot) {
            for query in [
                sixteen.as_str(),
                "max_staleness_ms=0",
                "max_staleness_ms=86400000",
                "consistency=strong&wait_ms=30000",
                "consistency=strong&wait_ms=0",
                "consistency=strong&max_staleness_ms=0&on_timeout=fail",
                &format!("consistency=eventual&receipt={receipt}"),
            ] {
                let reply = client.get_path(&format!("{path}?{query}")).await?;
                let reply = reply.expect(200).with_context(|| format!("{path}?{query}"))?;
                assert_eq!(result(&reply)?, "satisfied", "{path}?{query}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_read_that_cannot_be_as_fresh_as_demanded_says_so_after_its_wait() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, old) = created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let (_, new) = created(&client, "Slot 2").await?;
        let (both, new) = (format!("receipt={old}&receipt={new}"), format!("receipt={new}"));
        let demands = [
            new.as_str(),
            &both,
            "consistency=strong",
            "max_staleness_ms=0",
            &format!("{both}&max_staleness_ms=86400000"),
        ];

        for path in resources(&slot) {
            for demand in demands {
                // It is looked once.
                behind(at_once(&client, &format!("{path}?{demand}&wait_ms=0")).await?)?;
                let stale = at_once(&client, &format!("{path}?{demand}&wait_ms=0&on_timeout=stale")).await?;
                assert_eq!(result(&stale.expect(200)?)?, "stale", "{path}?{demand}");
            }
            behind(after_a_wait(&client, &format!("{path}?{new}&wait_ms=300"), 300).await?)?;
        }
        let unless_said = format!("/parking-slots?{new}");
        behind(after_a_wait(&client, &unless_said, 2_000).await?)?;
        let satisfied = client.list(&format!("?receipt={old}&wait_ms=0")).await?.expect(200)?;
        assert_eq!(result(&satisfied)?, "satisfied", "what was there before is there");
        Ok(())
    })
}

#[test]
fn a_read_that_waits_is_answered_as_soon_as_its_write_arrives() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, _) = created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let changed = client.change(slot.uuid, json!({ "status": "occupied" })).await?;
        let receipt = super::write_receipt(&changed)?;
        let [list, summary, one] =
            resources(&slot).map(|path| format!("{path}?receipt={receipt}&wait_ms=10000"));
        let known: &[(&'static str, &str)] = &[("if-none-match", "\"1\"")];

        let (listed, counted, shown, known, started) = tokio::join!(
            client.get_path(&list),
            client.get_path(&summary),
            client.get_path(&one),
            client.call_with(Method::GET, &one, known),
            pair.event_consumer().start(),
        );

        started?;
        let listed = listed?.expect(200)?;
        assert_eq!(listed.body["items"][0]["status"], "occupied");
        assert_eq!(counted?.expect(200)?.body["by_status"]["occupied"], 1);
        assert_eq!(shown?.slot(200)?.version, 2);
        assert_eq!(known?.slot(200)?.version, 2, "whether it is known is decided when the demand is met");
        ensure!(listed.took < Duration::from_secs(8), "it took {:?}", listed.took);
        let removed = client.delete(slot.uuid).await?.expect(204)?;
        let receipt = super::write_receipt(&removed)?;
        let gone = format!("/parking-slots/{}?receipt={receipt}&wait_ms=10000", slot.uuid);
        assert_eq!(
            result(&client.get_path(&gone).await?.expect(404)?)?,
            "satisfied",
            "not before the delete has arrived"
        );
        Ok(())
    })
}

#[test]
fn a_write_that_was_set_aside_is_told_at_once_to_who_demands_it() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let (slot, own) = created(&client, "innocent").await?;
        let (_, culprit) = created(&client, "culprit").await?;
        let (_, batch) = super::created_together(&client, &["innocent", "culprit", "innocent"]).await?;
        let (_, after) = created(&client, "innocent").await?;
        client.list(&format!("?receipt={after}&wait_ms=10000")).await?.expect(200)?;

        for path in resources(&slot) {
            for demand in [
                format!("receipt={culprit}&wait_ms=10000"),
                format!("receipt={culprit}&wait_ms=10000&on_timeout=stale"),
                format!("receipt={culprit}&wait_ms=0"),
                format!("receipt={own}&receipt={culprit}&consistency=strong"),
                format!("receipt={batch}&wait_ms=10000"),
            ] {
                let refused = at_once(&client, &format!("{path}?{demand}")).await?.expect(409)?;
                assert_eq!(refused.problem(), "dead-lettered", "{path}?{demand}");
            }
            for receipt in [&own, &after] {
                let reply = client.get_path(&format!("{path}?receipt={receipt}")).await?.expect(200)?;
                assert_eq!(result(&reply)?, "satisfied", "those beside it are there");
            }
        }
        Ok(())
    })
}
