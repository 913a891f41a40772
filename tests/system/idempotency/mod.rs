//! `Idempotency-Key`: what is sent again is carried out once, and answered as the first time.
//!
//! | module | holds |
//! |---|---|
//! | `replays` | one request after the other |
//! | `contention` | several at once: in one batch, over instances, with connections lost around the commit |
//! | `forgetting` | how long keys are kept |

mod replays;
mod contention;
mod forgetting;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Client, Pair, Reply, assert_level, level::Everything};

const SLOTS: &str = "/parking-slots";

/// Creates a slot of this name with a key.
async fn create(client: &Client, name: &str, key: &str) -> Result<Reply> {
    client.call_with_key(Method::POST, SLOTS, Some(json!({ "name": name })), key).await
}

/// Changes a slot with a key.
async fn change(client: &Client, uuid: uuid::Uuid, patch: Value, key: &str) -> Result<Reply> {
    client.call_with_key(Method::PATCH, &format!("{SLOTS}/{uuid}"), Some(patch), key).await
}

fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == Some("true")
}

/// What a caller gets of an answer, but for what tells one sending from another.
fn told(reply: &Reply) -> (u16, &str, [Option<&str>; 4]) {
    let headers = ["etag", "location", "write-receipt", "content-type"].map(|name| reply.header(name));
    (reply.status.as_u16(), &reply.text, headers)
}

/// `again` is the answer `first` once more, and says so.
fn check_replay(first: &Reply, again: &Reply) -> Result<()> {
    ensure!(told(first) == told(again), "{:?} first, then {:?}", told(first), told(again));
    ensure!(is_replayed(again), "it does not say that it is a replay");
    Ok(())
}

/// Both sides are level, the log has so many events, and so many keys are kept, each with events that are there.
async fn check_once(pair: &Pair, events: usize, keys: i64) -> Result<Everything> {
    let everything = assert_level(pair).await?;
    ensure!(everything.events.len() == events, "{} events instead of {events}", everything.events.len());
    let sql = "SELECT count(*), count(*) FILTER (WHERE last_position <= (SELECT max(position) FROM parking_slot_events))
               FROM idempotency_keys";
    let row = pair.primary.sql().await?.query_one(sql, &[]).await?;
    let (kept, sound): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    ensure!(kept == keys && sound == keys, "{kept} keys are kept, {sound} of them sound, instead of {keys}");
    Ok(everything)
}
