//! A rebuild: a new copy beside the replica takes its place, and nobody notices but by what is healed.

mod healed;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Pair, Slot,
    program::{Ended, Run},
    scale::scale,
};

/// How many slots there are before a rebuild.
fn slots() -> usize {
    3_000 * scale() as usize
}

/// How many are created at a time.
const BATCH: usize = 1_000;

/// Slots that were created together, and their receipt.
#[derive(Clone, Debug)]
struct Kept {
    slots: Vec<Slot>,
    receipt: String,
}

/// Creates [`slots`] slots, which nobody changes.
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
    Ok(all)
}

fn rebuild(pair: &Pair) -> Result<Run> {
    Run::event_consumer(pair, &["rebuild", "--json"])
}

/// Whether nothing is left of a rebuild, in the database and at the broker.
async fn assert_nothing_left(pair: &Pair) -> Result<()> {
    let sql = pair.replica.sql().await?;
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname IN ('rebuild', 'replaced')";
    let left: Vec<String> =
        sql.query(schemas, &[]).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "these schemas are left: {left:?}");
    let queues = pair.broker.get(&format!("queues/{}", pair.broker.name)).await?;
    let names: Vec<&str> =
        queues.as_array().context("no list")?.iter().filter_map(|queue| queue["name"].as_str()).collect();
    ensure!(!names.iter().any(|name| name.ends_with(".rebuild")), "a queue is left: {names:?}");
    Ok(())
}

/// What a rebuild printed, which must have succeeded.
fn rebuilt(ended: Ended) -> Result<serde_json::Value> {
    ended.expect(0)?.json()
}
