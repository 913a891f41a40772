//! What every answer from the replica says of its freshness.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use system_tests::{RECOVERY, Reply, Shape, assert_level, eventually, with_pair};
use uuid::Uuid;

use super::{as_of, created, resources, result};

/// A lag may not be said to be less than it is, but for what is lost in whole milliseconds.
const ROUNDING: SignedDuration = SignedDuration::from_millis(1);

/// It may be said to be more by what it takes to ask for the primary's clock, on a busy machine too.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// Idle watermarks come twice a second; with room for a busy machine.
const WATERMARK: Duration = Duration::from_secs(10);

fn is_opaque_and_url_safe(receipt: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (1..=200).contains(&receipt.len()) && receipt.bytes().all(safe)
}

#[test]
fn every_answer_from_the_replica_says_how_fresh_it_is() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, _) = created(&client, "Slot 1").await?;
        assert_level(pair).await?;
        let one = format!("/parking-slots/{}", slot.uuid);
        let missing = format!("/parking-slots/{}", Uuid::now_v7());
        let same: &[(&'static str, &str)] = &[("if-none-match", "\"1\"")];
        let cases = [
            (Method::GET, "/parking-slots", &[][..], 200, "the list"),
            (Method::HEAD, "/parking-slots", &[], 200, "the list's head"),
            (Method::GET, "/parking-slots?name=nothing", &[], 200, "an empty list"),
            (Method::GET, "/parking-slots/summary", &[], 200, "the summary"),
            (Method::HEAD, "/parking-slots/summary", &[], 200, "the summary's head"),
            (Method::GET, &one, &[], 200, "a slot"),
            (Method::HEAD, &one, &[], 200, "a slot's head"),
            (Method::GET, &one, same, 304, "a slot that is known already"),
            (Method::GET, &missing, &[], 404, "no slot"),
            (Method::HEAD, &missing, &[], 404, "no slot's head"),
        ];

        for (method, path, headers, status, reason) in cases {
            let sent_at = Timestamp::now();
            let reply = client.call_with(method, path, headers).await?.expect(status).context(reason)?;
            let answered_at = Timestamp::now();

            let as_of = as_of(&reply).context(reason)?;
            let written = reply.header("freshness-as-of").unwrap_or_default();
            ensure!(written.len() == 27 && written.ends_with('Z'), "{reason}: as of {written}");
            ensure!(as_of >= slot.updated_at && as_of <= answered_at, "{reason}: as of {as_of}");
            let lag: i64 = reply.header("freshness-lag-ms").context("no Freshness-Lag-Ms")?.parse()?;
            let then = as_of + SignedDuration::from_millis(lag);
            ensure!(
                then >= sent_at - ROUNDING && then <= answered_at + SLACK,
                "{reason}: {lag} ms after {as_of} is not between {sent_at} and {answered_at}"
            );
            assert_eq!(result(&reply)?, "eventual", "{reason}");
            let receipt = reply.header("freshness-receipt").context(reason)?;
            ensure!(is_opaque_and_url_safe(receipt), "{reason}: {receipt}");
            assert_eq!(reply.header("freshness-missing"), None, "{reason}: nothing was dead-lettered");
            assert_eq!(reply.header("cache-control"), Some("no-cache"), "{reason}");
        }
        Ok(())
    })
}

#[test]
fn a_read_that_met_its_demands_says_so_with_every_status() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, receipt) = created(&client, "Slot 1").await?;
        let one = format!("/parking-slots/{}", slot.uuid);
        let missing = format!("/parking-slots/{}", Uuid::now_v7());
        let same: &[(&'static str, &str)] = &[("if-none-match", "\"1\"")];
        let cases = [
            (Method::GET, "/parking-slots", &[][..], 200),
            (Method::HEAD, "/parking-slots", &[], 200),
            (Method::GET, "/parking-slots/summary", &[], 200),
            (Method::GET, &one, &[], 200),
            (Method::GET, &one, same, 304),
            (Method::GET, &missing, &[], 404),
        ];

        for (method, path, headers, status) in cases {
            for demand in [&format!("receipt={receipt}"), "consistency=strong", "max_staleness_ms=5000"] {
                let path = format!("{path}?{demand}&wait_ms=10000");
                let reply = client.call_with(method.clone(), &path, headers).await?;
                let reply = reply.expect(status).with_context(|| format!("{method} {path}"))?;
                assert_eq!(result(&reply)?, "satisfied", "{method} {path}");
                ensure!(as_of(&reply)? >= slot.updated_at, "{method} {path}");
            }
            let plain = format!("{path}?consistency=eventual");
            let eventual = client.call_with(method.clone(), &plain, headers).await?;
            assert_eq!(result(&eventual.expect(status)?)?, "eventual", "{method} {path}");
        }
        Ok(())
    })
}

#[test]
fn before_the_replica_was_complete_once_nothing_is_said_of_when() -> Result<()> {
    let not_started = Shape { started: false, ..Shape::default() };
    not_started.run(async |pair| {
        pair.command_service().start().await?;
        let client = pair.client();
        let (slot, _) =
            eventually(RECOVERY, "creates are taken", async || created(&client, "Slot 1").await).await?;
        let incomplete = |reply: &Reply, path: &str| -> Result<()> {
            assert_eq!(reply.header("freshness-as-of"), None, "{path}");
            assert_eq!(reply.header("freshness-lag-ms"), None, "{path}");
            assert_eq!(result(reply)?, "eventual", "{path}");
            ensure!(reply.header("freshness-receipt").is_some(), "{path}");
            Ok(())
        };

        for path in resources(&slot) {
            let reply = eventually(RECOVERY, "the replica answers", async || {
                let reply = client.get_path(&path).await?;
                ensure!(reply.status.as_u16() != 503, "it does not");
                Ok(reply)
            })
            .await?;
            incomplete(&reply, &path)?;
        }
        let behind = client.list("?max_staleness_ms=86400000&wait_ms=0").await?.expect(504)?;
        assert_eq!(behind.problem(), "replica-behind", "no bound holds for what was never complete");
        pair.event_consumer().start().await?;

        assert_level(pair).await?;
        let reply = client.list("").await?.expect(200)?;
        ensure!(as_of(&reply)? >= slot.updated_at, "as of {}", as_of(&reply)?);
        Ok(())
    })
}

#[test]
fn a_pair_without_any_write_is_complete_and_stays_so() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();

        let first = eventually(WATERMARK, "the empty replica is complete", async || {
            as_of(&client.list("").await?.expect(200)?)
        })
        .await?;

        eventually(WATERMARK, "time goes on while nothing is written", async || {
            let later = as_of(&client.list("").await?.expect(200)?)?;
            ensure!(later > first + SignedDuration::from_secs(1), "as of {later}, and before {first}");
            Ok(())
        })
        .await?;
        let bounded = client.list("?max_staleness_ms=2000").await?.expect(200)?;
        assert_eq!(result(&bounded)?, "satisfied");
        Ok(())
    })
}

#[test]
fn what_was_set_aside_is_told_by_every_answer() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let (innocent, _) = created(&client, "innocent").await?;
        for number in 0..2 {
            created(&client, &format!("culprit {number}")).await?;
        }
        let (last, receipt) = created(&client, "innocent too").await?;
        client.list(&format!("?receipt={receipt}&wait_ms=10000")).await?.expect(200)?;
        let one = format!("/parking-slots/{}", innocent.uuid);
        let missing = format!("/parking-slots/{}", Uuid::now_v7());
        let same: &[(&'static str, &str)] = &[("if-none-match", "\"1\"")];
        let cases = [
            ("/parking-slots", &[][..], 200),
            ("/parking-slots/summary", &[], 200),
            ("/parking-slots?consistency=strong", &[], 200),
            (&one, &[], 200),
            (&one, same, 304),
            (&missing, &[], 404),
        ];

        for (path, headers, status) in cases {
            let reply = client.call_with(Method::GET, path, headers).await?.expect(status)?;

            assert_eq!(reply.header("freshness-missing"), Some("2"), "{path}");
            ensure!(as_of(&reply)? >= last.updated_at, "{path}: complete but for those");
        }
        Ok(())
    })
}
