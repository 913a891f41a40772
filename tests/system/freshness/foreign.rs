//! Receipts that no longer mean anything: of a log that has been cut, and of another epoch.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_tests::{Client, Pair, RECOVERY, answered_within, assert_level, eventually, with_pair};

use super::{created, resources};

/// How soon the answer comes, whatever wait was asked for.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn assert_refused(
    pair: &Pair,
    paths: &[String],
    receipt: &str,
    status: u16,
    problem: &str,
) -> Result<()> {
    let client = pair.client();
    for path in paths {
        for demand in ["wait_ms=10000", "wait_ms=0", "wait_ms=10000&on_timeout=stale", "consistency=strong"] {
            let read = format!("{path}?receipt={receipt}&{demand}");
            let refused = answered_within(AT_ONCE, async || client.get_path(&read).await).await;
            let refused = refused.context(read)?.expect(status)?;
            assert_eq!(refused.problem(), problem, "{path} with {demand}");
        }
    }
    Ok(())
}

async fn primary_is_up(client: &Client) -> Result<()> {
    eventually(RECOVERY, "the primary is up", async || {
        let reply = client.readyz().await?;
        ensure!(reply.body["dependencies"]["primary"]["state"] == "up", "it says {}", reply.body);
        Ok(())
    })
    .await
}

/// Who asks what became of the write is told no better.
async fn assert_no_state(client: &Client, receipt: &str, status: u16, problem: &str) -> Result<()> {
    let state = client.get_path(&format!("/receipts/{receipt}")).await?.expect(status)?;
    assert_eq!(state.problem(), problem);
    Ok(())
}

#[test]
fn a_receipt_beyond_the_end_of_the_log_is_refused_at_once() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, kept) = created(&client, "Kept").await?;
        assert_level(pair).await?;
        pair.event_consumer().kill()?;
        let (_, beyond) = created(&client, "Beyond").await?;
        pair.command_service().stop().await?;
        // As a primary is that was restored from a backup, and whose epoch nobody changed.
        let cut = "ALTER TABLE parking_slot_events DISABLE TRIGGER append_only;
                   DELETE FROM parking_slot_events WHERE position > 1;
                   DELETE FROM parking_slots WHERE position > 1;
                   UPDATE relay_cursor SET confirmed_position = 1;
                   ALTER TABLE parking_slot_events ENABLE TRIGGER append_only;";
        pair.primary.sql().await?.batch_execute(cut).await?;
        pair.command_service().start().await?;
        primary_is_up(&client).await?;

        assert_refused(pair, &resources(&slot), &beyond, 400, "malformed-receipt").await?;
        assert_no_state(&client, &beyond, 400, "malformed-receipt").await?;

        let satisfied = client.list(&format!("?receipt={kept}")).await?.expect(200)?;
        assert_eq!(super::result(&satisfied)?, "satisfied");
        Ok(())
    })
}

#[test]
fn a_receipt_of_another_epoch_is_refused_at_once() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, foreign) = created(&client, "Of the first life").await?;
        let read = client.list(&format!("?receipt={foreign}&wait_ms=10000")).await?.expect(200)?;
        let of_read = read.header("freshness-receipt").unwrap_or_default().to_owned();
        assert_level(pair).await?;
        pair.command_service().stop().await?;
        let another = "UPDATE epoch SET epoch = gen_random_uuid()";
        pair.primary.sql().await?.batch_execute(another).await?;
        pair.command_service().start().await?;
        primary_is_up(&client).await?;

        assert_refused(pair, &resources(&slot), &foreign, 409, "foreign-receipt").await?;
        assert_refused(pair, &resources(&slot), &of_read, 409, "foreign-receipt").await?;
        assert_no_state(&client, &foreign, 409, "foreign-receipt").await?;
        Ok(())
    })
}
