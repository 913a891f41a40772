//! A register of many slots, made through the API, and the proof that both databases hold the same.

use std::{ops::Range, time::Duration};

use anyhow::{Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Client, Pair, database::Database, wait::eventually};
use uuid::Uuid;

/// Slots in one request.
const BATCH: usize = 1_000;

/// Requests under way at a time: more would exceed the queue of commands.
const REQUESTS: usize = 3;

/// How long the replica may take for ten million slots.
const LEVEL_LIMIT: Duration = Duration::from_secs(900);

/// Equal for equal rows, whatever their order.
const CONTENT: &str = "
    SELECT count(*), coalesce(sum(hashtextextended(
        concat_ws('|', uuid, name, status, version, extract(epoch FROM created_at), extract(epoch FROM updated_at)), 0
    )), 0)::text
    FROM parking_slots";

/// What a database holds: the number of its slots, and a hash over all of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) slots: i64,
    pub(crate) hash: String,
}

impl Content {
    /// Reads the content of a database.
    ///
    /// # Errors
    /// The database is down.
    pub(crate) async fn of(database: &Database) -> Result<Self> {
        let row = database.sql().await?.query_one(CONTENT, &[]).await?;
        Ok(Self { slots: row.try_get(0)?, hash: row.try_get(1)? })
    }
}

/// Waits until both databases hold the same, and returns it.
///
/// # Errors
/// They still differ after 15 minutes.
pub(crate) async fn level(pair: &Pair) -> Result<Content> {
    let primary = Content::of(&pair.primary).await?;
    eventually(LEVEL_LIMIT, "the replica holds what the primary holds", async || {
        let replica = Content::of(&pair.replica).await?;
        ensure!(replica == primary, "{replica:?} instead of {primary:?}");
        Ok(replica)
    })
    .await
}

/// Creates the slots of these numbers, of `slots` in all: names of two words and a number, half of them `even`; every
/// hundredth slot `reserved`, the others `available` or `occupied`; a thousand names of all hold `needles`.
///
/// # Errors
/// A request is refused.
pub(crate) async fn fill(client: &Client, numbers: Range<usize>, slots: usize) -> Result<()> {
    let batches = numbers.clone().step_by(BATCH).map(|first| {
        let last = (first + BATCH).min(numbers.end);
        let body: Vec<Value> = (first..last).map(|number| slot(number, slots)).collect();
        async move {
            client.call(Method::POST, "/parking-slots/batch", Some(json!(body))).await?.expect(201)?;
            anyhow::Ok(())
        }
    });
    stream::iter(batches).buffer_unordered(REQUESTS).try_collect().await
}

fn slot(number: usize, slots: usize) -> Value {
    let parity = if number.is_multiple_of(2) { "even" } else { "odd" };
    let needle = if number.is_multiple_of((slots / 1_000).max(1)) { " needles" } else { "" };
    let status = match number {
        _ if number % 100 == 99 => "reserved",
        _ if number.is_multiple_of(2) => "available",
        _ => "occupied",
    };
    json!({ "name": format!("Bay {number:08} {parity}{needle}"), "status": status })
}

/// Slots from all over the register: uuid and creation time.
///
/// # Errors
/// The replica is down.
pub(crate) async fn sample(replica: &Database, slots: i64) -> Result<Vec<(Uuid, Timestamp)>> {
    let sampled = "SELECT uuid, created_at FROM parking_slots ORDER BY md5(uuid::text) LIMIT $1";
    let rows = replica.sql().await?.query(sampled, &[&slots]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
