//! A rebuild: a new copy beside the replica takes its place, and nobody notices but by what is healed.

mod healed;
mod kept;
mod readers;
mod under_load;
mod killed;
mod cut_off;
mod alone;
mod epochs;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Pair, RECOVERY, Slot,
    database::Hold,
    eventually,
    program::{Ended, Run},
    scale::{scale, scaled},
};
use uuid::Uuid;

/// How many slots are created at a time.
const BATCH: usize = 1_000;

/// How long a stage of a rebuild may take to come.
fn stage_deadline() -> Duration {
    scaled(RECOVERY, RECOVERY / 10)
}

/// How many slots there are before a rebuild.
fn slots() -> usize {
    3 * BATCH * scale()
}

/// Slots that were created together, and their receipt.
#[derive(Clone, Debug)]
struct Kept {
    slots: Vec<Slot>,
    receipt: String,
}

/// Creates [`slots`] slots, which nobody changes, and waits until they are on the replica.
async fn fill(pair: &Pair) -> Result<Vec<Kept>> {
    let client = pair.client();
    let mut all = Vec::new();
    for first in (0..slots()).step_by(BATCH) {
        let batch: Vec<_> =
            (first..first + BATCH).map(|number| json!({ "name": format!("Kept {number}") })).collect();
        let reply =
            client.call(Method::POST, "/parking-slots/batch", Some(json!(batch))).await?.expect(201)?;
        let receipt = reply.header("write-receipt").context("no receipt")?.to_owned();
        all.push(Kept { slots: serde_json::from_value(reply.body["items"].clone())?, receipt });
    }
    let last = &all.last().context("no slots")?.receipt;
    eventually(stage_deadline(), "the slots are on the replica", async || {
        client.get_path(&format!("/parking-slots/summary?receipt={last}")).await?.expect(200)
    })
    .await?;
    Ok(all)
}

fn rebuild(pair: &Pair) -> Result<Run> {
    Run::event_consumer(pair, &["rebuild", "--json"])
}

/// What a rebuild printed, which must have succeeded.
fn rebuilt(ended: Ended) -> Result<serde_json::Value> {
    ended.expect(0)?.json()
}

/// Waits until this query on the replica says true.
async fn until(pair: &Pair, what: &str, query: &str) -> Result<()> {
    eventually(stage_deadline(), what, async || {
        // While the schema is not made yet, the query fails.
        let row = pair.replica.sql().await?.query_one(query, &[]).await?;
        ensure!(row.try_get::<_, Option<bool>>(0)? == Some(true), "not yet");
        Ok(())
    })
    .await
}

/// Keeps a rebuild from becoming level as long as it is held. Lets the copy take part of what is there, and waits until it has that; `last` is the slot that it does not get.
async fn hold_in_the_middle(pair: &Pair, last: Uuid) -> Result<Hold> {
    // The last that is done to the tables before they are filled.
    let made = "SELECT tgenabled = 'D' FROM pg_trigger
                WHERE tgrelid = to_regclass('rebuild.replication_status') AND tgname = 'push_status'";
    until(pair, "the copy's tables are made", made).await?;
    // Without triggers, so that nothing but this row is held.
    let insert = format!(
        "SET LOCAL session_replication_role = replica;
         INSERT INTO rebuild.parking_slots (uuid, version, created_at, updated_at, status, name)
         VALUES ('{last}', 1, now(), now(), 'available', 'Held')"
    );
    let hold = pair.replica.hold(&insert).await?;
    let third = slots() / 3;
    until(pair, "the copy has a third", &format!("SELECT count(*) >= {third} FROM rebuild.parking_slots"))
        .await?;
    Ok(hold)
}

/// The slot that is copied last.
fn last_of(kept: &[Kept]) -> Result<Uuid> {
    Ok(kept.last().and_then(|batch| batch.slots.last()).context("no slots")?.uuid)
}

/// Whether nothing is left of a rebuild, in the database and at the broker.
async fn assert_nothing_left(pair: &Pair) -> Result<()> {
    let sql = pair.replica.sql().await?;
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname IN ('rebuild', 'replaced')";
    let left: Vec<String> =
        sql.query(schemas, &[]).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "these schemas are left: {left:?}");
    assert_no_queue_left(pair).await
}

/// The management interface shows a queue for a moment after its end.
async fn assert_no_queue_left(pair: &Pair) -> Result<()> {
    eventually(RECOVERY, "the queue of the copy is gone", async || {
        let queues = pair.broker.get(&format!("queues/{}", pair.broker.name)).await?;
        let queues = queues.as_array().context("no list")?;
        let names: Vec<&str> = queues.iter().filter_map(|queue| queue["name"].as_str()).collect();
        ensure!(!names.iter().any(|name| name.ends_with(".rebuild")), "a queue is left: {names:?}");
        Ok(())
    })
    .await
}
