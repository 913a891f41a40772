//! A page or a summary is kept while nothing changes on the replica, and not a moment longer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::{Client, Pair, RECOVERY, assert_level, eventually, with_pair};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Edits by hand, and reads after each.
const EDITS: i64 = 1_000;

/// Callers that ask for the same all the while, so that there is always something kept.
const OTHERS: usize = 4;

/// Reads in a row that reach both readers, which take turns.
const READS: usize = 4;

/// What an answer takes that waits for no lock.
const PROMPT: Duration = Duration::from_millis(300);

const PAGE: &str = "?limit=1";

/// Lets nobody read the slots or their summary.
const LOCK: &str = "BEGIN; LOCK TABLE parking_slots, parking_slot_summary IN ACCESS EXCLUSIVE MODE";

#[test]
fn an_edit_by_hand_is_seen_by_the_next_read_each_time() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        let stop = CancellationToken::new();
        let others: Vec<_> =
            (0..OTHERS).map(|_| tokio::spawn(ask_until(client.clone(), stop.clone()))).collect();
        let sql = pair.replica.sql().await?;
        let edit = "UPDATE parking_slots SET name = 'Edit ' || $1::bigint, status = $2::text";

        for number in 1..=EDITS {
            let status = if number % 2 == 0 { "occupied" } else { "blocked" };
            sql.execute(edit, &[&number, &status]).await?;

            let (page, summary) = tokio::try_join!(client.list(PAGE), client.summary())?;

            let (page, summary) = (page.expect(200)?.body, summary.expect(200)?.body);
            assert_eq!(page["items"][0]["name"], format!("Edit {number}"));
            assert_eq!(summary["by_status"][status], 1, "edit {number}: {summary}");
        }
        stop.cancel();
        for other in others {
            other.await??;
        }
        Ok(())
    })
}

async fn ask_until(client: Client, stop: CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        client.list(PAGE).await?.expect(200)?;
        client.summary().await?.expect(200)?;
    }
    Ok(())
}

#[test]
fn a_kept_answer_needs_no_table_and_holds_until_a_change() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let receipt = client.create("Slot 1").await?.expect(201)?;
        let receipt = receipt.header("write-receipt").context("no receipt")?;
        assert_level(pair).await?;
        let with_receipt = format!("{PAGE}&receipt={receipt}");
        let sql = pair.replica.sql().await?;
        let read = async |query: &str| timeout(PROMPT, client.list(query)).await;

        // Somebody's commit may come between the two reads. Then nothing that is kept holds.
        eventually(RECOVERY, "a kept page is answered while nobody can read the table", async || {
            warm(pair).await?;
            sql.batch_execute(LOCK).await?;
            let page = read(PAGE).await;
            let summary = timeout(PROMPT, client.summary()).await;
            let demanding = read(&with_receipt).await;
            sql.batch_execute("ROLLBACK").await?;
            let items = page.context("the page waited for the lock")??.expect(200)?.body["items"].take();
            assert_eq!(items.as_array().map(Vec::len), Some(1));
            let total =
                summary.context("the summary waited for the lock")??.expect(200)?.body["total"].take();
            assert_eq!(total, Value::from(1));
            ensure!(demanding.is_err(), "dead letters were not asked for the receipt");
            Ok(())
        })
        .await?;
        warm(pair).await?;
        sql.execute("UPDATE parking_slots SET name = 'Edited'", &[]).await?;
        sql.batch_execute(LOCK).await?;
        let stale = read(PAGE).await;
        sql.batch_execute("ROLLBACK").await?;

        ensure!(stale.is_err(), "the table was not asked after a change");
        Ok(())
    })
}

/// Lets both readers read the page and the summary.
async fn warm(pair: &Pair) -> Result<()> {
    let client = pair.client();
    for _ in 0..READS {
        client.list(PAGE).await?.expect(200)?;
    }
    for _ in 0..READS {
        client.summary().await?.expect(200)?;
    }
    Ok(())
}
