//! A primary that was restored or replaced gets a new epoch before anybody uses it; nothing else does.

mod files;
mod elsewhere;
mod by_hand;
mod stays;
mod judge;
mod unsettled;
mod by_roles;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use command_service::register::receipt::Receipt;
use system_tests::{Client, Pair, RECOVERY, Slot, answered_within, assert_level, eventually, program::Run};
use uuid::Uuid;

/// How soon a receipt of a former life is refused, whatever wait was asked for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a service logs that gives a new epoch.
const NEW_EPOCH: &str = "the primary was restored or replaced: new epoch";

/// The epoch that the primary carries.
async fn epoch(pair: &Pair) -> Result<Uuid> {
    Ok(pair.primary.sql().await?.query_one("SELECT epoch FROM epoch", &[]).await?.try_get(0)?)
}

/// The log's last position.
async fn log_end(pair: &Pair) -> Result<i64> {
    let end = "SELECT coalesce(max(position), 0) FROM parking_slot_events";
    Ok(pair.primary.sql().await?.query_one(end, &[]).await?.try_get(0)?)
}

/// How often the services have given a new epoch.
fn new_epochs(pair: &Pair) -> Result<usize> {
    let logs = pair.command_services.iter().map(|service| service.log()).collect::<Result<Vec<_>>>()?;
    Ok(logs.iter().map(|log| log.matches(NEW_EPOCH).count()).sum())
}

/// Creates a slot; with its receipt, as it is carried and as it is meant.
async fn created(client: &Client, name: &str) -> Result<(Slot, String, Receipt)> {
    let reply = client.create(name).await?;
    let carried = reply.header("write-receipt").context(reply.text.clone())?.to_owned();
    let meant = Receipt::decode(&carried).context("not a receipt")?;
    Ok((reply.slot(201)?, carried, meant))
}

/// As [`created`] when the primary has just been started, and may not be back yet.
async fn created_soon(client: &Client, name: &str) -> Result<(Slot, String, Receipt)> {
    eventually(RECOVERY, "creates are taken again", async || created(client, name).await).await
}

/// The receipt means nothing any more, and who demands to see its write is told so at once.
async fn assert_foreign(client: &Client, receipt: &str) -> Result<()> {
    let mut paths = vec![format!("/receipts/{receipt}")];
    for demand in ["wait_ms=10000", "wait_ms=0&on_timeout=stale", "consistency=strong"] {
        paths.push(format!("/parking-slots?receipt={receipt}&{demand}"));
        paths.push(format!("/parking-slots/summary?receipt={receipt}&{demand}"));
    }
    for path in paths {
        let refused = answered_within(AT_ONCE, async || client.get_path(&path).await).await;
        let refused = refused.and_then(|reply| reply.expect(409)).context(path.clone())?;
        assert_eq!(refused.problem(), "foreign-receipt", "{path}");
    }
    Ok(())
}

/// Reads that demand freshness are not satisfied by a replica of the former life; others are answered from it.
async fn assert_only_old_reads(client: &Client, listed: usize) -> Result<()> {
    for demand in ["consistency=strong&wait_ms=300", "max_staleness_ms=86400000&wait_ms=300"] {
        let path = format!("/parking-slots?{demand}");
        let refused = client.get_path(&path).await?.expect(504).context(path.clone())?;
        assert_eq!(refused.problem(), "replica-behind", "{path}");
        let stale = client.get_path(&format!("{path}&on_timeout=stale")).await?.expect(200)?;
        assert_eq!(stale.header("freshness-result"), Some("stale"), "{path}");
    }
    let list = client.list("").await?.expect(200)?;
    assert_eq!(list.header("freshness-result"), Some("eventual"));
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(listed), "the old replica, as it was");
    Ok(())
}

/// The consumer says that it applies nothing, and what is to be done.
async fn consumer_names_the_way_out(pair: &Pair) -> Result<()> {
    let consumer = pair.event_consumer().client();
    eventually(RECOVERY, "the consumer names the way out", async || {
        let refused = consumer.readyz().await?.expect(503)?;
        let detail = refused.body["dependencies"]["epoch"]["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("run event-consumer rebuild"), "it says {}", refused.body);
        Ok(())
    })
    .await
}

/// The way out: after a rebuild both sides are level, everybody is ready, and demands are met again.
async fn assert_level_after_a_rebuild(pair: &Pair) -> Result<()> {
    assert_level_after_a_rebuild_for(pair, &pair.client(), &pair.client()).await
}

/// The same, where commands and reads go to processes of their own.
async fn assert_level_after_a_rebuild_for(pair: &Pair, commands: &Client, reads: &Client) -> Result<()> {
    Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(0)?;
    assert_level(pair).await?;
    pair.ready().await?;
    let (_, receipt, _) = created(commands, "After the rebuild").await?;
    for demand in [format!("receipt={receipt}"), "consistency=strong".to_owned()] {
        let read = reads.list(&format!("?{demand}&wait_ms=10000")).await?.expect(200)?;
        assert_eq!(read.header("freshness-result"), Some("satisfied"), "{demand}");
    }
    assert_level(pair).await?;
    Ok(())
}
