//! A query process that does not know the primary: receipts of the replica's epoch hold, and what only the primary can
//! tell is refused at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Client, RECOVERY, Reply, RoleProcess, Shape, Slot, answered_within, assert_level, eventually,
    program::Run,
};

use super::{Split, split};
use crate::answers::problem::{Inside, check_problem};

/// A refusal waits for nothing, whatever wait was asked for.
const AT_ONCE: Duration = Duration::from_secs(1);

fn without_primary() -> Shape {
    let mut shape = split();
    shape.role_processes[1] = RoleProcess { roles: "query", without: &["DATABASE_URL"] };
    shape
}

async fn created(client: &Client, name: &str) -> Result<(Slot, String)> {
    let reply = client.create(name).await?;
    let receipt = reply.header("write-receipt").context("no Write-Receipt")?.to_owned();
    Ok((reply.slot(201)?, receipt))
}

/// It is refused at once, and told what is missing.
async fn refused(client: &Client, path: &str, inside: &Inside) -> Result<()> {
    let reply = answered_within(AT_ONCE, async || client.get_path(path).await).await;
    let reply = reply.and_then(|reply| reply.expect(421)).context(path.to_owned())?;
    check_problem(&reply, inside)?;
    assert_eq!(reply.problem(), "misdirected-request", "{path}");
    let detail = reply.body["detail"].as_str().unwrap_or_default();
    for word in ["no access to it", "DATABASE_URL", "query role"] {
        ensure!(detail.contains(word), "{path}: {detail} does not say {word:?}");
    }
    Ok(())
}

async fn satisfied(client: &Client, path: &str) -> Result<Reply> {
    let reply = client.get_path(path).await?.expect(200).context(path.to_owned())?;
    assert_eq!(reply.header("freshness-result"), Some("satisfied"), "{path}");
    Ok(reply)
}

#[test]
fn receipts_hold_without_the_primary_and_what_only_it_can_tell_is_refused_at_once() -> Result<()> {
    without_primary().run(async |pair| {
        let (roles, inside) = (Split::of(pair)?, Inside::of(pair));
        let (commands, reads) = (roles.command.client(), roles.query.client());
        let (slot, receipt) = created(&commands, "Slot 1").await?;
        let of_read = satisfied(&reads, &format!("/parking-slots?receipt={receipt}&wait_ms=10000")).await?;
        let of_read = of_read.header("freshness-receipt").context("no Freshness-Receipt")?.to_owned();

        for path in ["/parking-slots", "/parking-slots/summary", &format!("/parking-slots/{}", slot.uuid)] {
            satisfied(&reads, &format!("{path}?receipt={receipt}&receipt={of_read}&wait_ms=0")).await?;
            let eventual = reads.get_path(path).await?.expect(200)?;
            assert_eq!(eventual.header("freshness-result"), Some("eventual"));
            ensure!(eventual.header("freshness-lag-ms").is_some(), "it says how old it is");
            for demand in ["consistency=strong", "max_staleness_ms=86400000", "max_staleness_ms=0"] {
                for end in ["", "&wait_ms=10000", "&on_timeout=stale", &format!("&receipt={receipt}")] {
                    refused(&reads, &format!("{path}?{demand}{end}"), &inside).await?;
                }
            }
        }
        refused(&reads, &format!("/receipts/{receipt}"), &inside).await?;
        let malformed = reads.get_path("/receipts/none").await?.expect(400)?;
        assert_eq!(malformed.problem(), "malformed-receipt");
        Ok(())
    })
}

#[test]
fn a_write_that_is_not_applied_yet_is_waited_for_without_the_primary() -> Result<()> {
    without_primary().run(async |pair| {
        let roles = Split::of(pair)?;
        let (commands, reads) = (roles.command.client(), roles.query.client());
        created(&commands, "Slot 1").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let (slot, receipt) = created(&commands, "Slot 2").await?;

        let path = format!("/parking-slots/{}?receipt={receipt}", slot.uuid);
        let behind = reads.get_path(&format!("{path}&wait_ms=100")).await?.expect(504)?;
        assert_eq!(behind.problem(), "replica-behind");
        let detail = behind.body["detail"].as_str().unwrap_or_default();
        ensure!(detail.ends_with("so look at the relay and the event-consumer"), "it misleads: {detail}");
        let stale =
            reads.list(&format!("?receipt={receipt}&wait_ms=0&on_timeout=stale")).await?.expect(200)?;
        assert_eq!(stale.header("freshness-result"), Some("stale"));

        let waiting = format!("{path}&wait_ms=10000");
        let (reply, started) = tokio::join!(reads.get_path(&waiting), pair.event_consumer().start());
        started?;
        assert_eq!(reply?.slot(200)?, slot, "it is answered when the write arrives");
        Ok(())
    })
}

#[test]
fn a_receipt_of_an_epoch_that_the_replica_does_not_know_is_refused_at_once_without_the_primary() -> Result<()>
{
    without_primary().run(async |pair| {
        let (roles, inside) = (Split::of(pair)?, Inside::of(pair));
        let (commands, reads) = (roles.command.client(), roles.query.client());
        let (_, former) = created(&commands, "Before").await?;
        assert_level(pair).await?;

        Run::command_service(pair, &["migrate", "--new-epoch"])?.end().await?.expect(0)?;
        let (_, latter) = created(&commands, "After").await?;

        for end in ["wait_ms=10000", "wait_ms=0", "on_timeout=stale"] {
            refused(&reads, &format!("/parking-slots?receipt={latter}&{end}"), &inside).await?;
            satisfied(&reads, &format!("/parking-slots?receipt={former}&wait_ms=0")).await?;
        }
        // Of several demands, one that cannot be judged is enough.
        let both = format!("/parking-slots?receipt={former}&receipt={latter}");
        refused(&reads, &both, &inside).await?;
        Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(0)?;
        satisfied(&reads, &format!("/parking-slots?receipt={latter}&wait_ms=10000")).await?;
        eventually(RECOVERY, "the former epoch is refused", async || {
            refused(&reads, &format!("/parking-slots?receipt={former}"), &inside).await
        })
        .await
    })
}

#[test]
fn a_dead_lettered_write_is_told_without_the_primary() -> Result<()> {
    without_primary().run(async |pair| {
        let roles = Split::of(pair)?;
        let (commands, reads) = (roles.command.client(), roles.query.client());
        let refuse = "ALTER TABLE parking_slots ADD CONSTRAINT refused CHECK (name <> 'Refused')";
        pair.replica.sql().await?.batch_execute(refuse).await?;

        let reply = commands.call(Method::POST, "/parking-slots", Some(json!({ "name": "Refused" }))).await?;
        let receipt = reply.header("write-receipt").context("no Write-Receipt")?.to_owned();

        let told = reads.list(&format!("?receipt={receipt}&wait_ms=20000")).await?.expect(409)?;
        assert_eq!(told.problem(), "dead-lettered");
        Ok(())
    })
}
