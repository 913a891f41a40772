//! Is the copy right: every damage is found exactly, none is found where there is none, and all of it is healed.

mod judgement;
mod exactness;
mod messages;
mod damages;
mod chunks;
mod busy;
mod dead_letters;
mod refusals;
mod words;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use system_tests::{Client, Pair, assert_level, program::Run, with_pair};
use uuid::Uuid;

/// What verify came to.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) status: Option<i32>,
    /// One object for each difference.
    pub(crate) differences: Vec<Value>,
    /// The object at the end; `null` when there is none, since nothing can be said.
    pub(crate) total: Value,
    pub(crate) errors: String,
}

impl Verified {
    /// Kind and uuid of each difference, in order.
    pub(crate) fn kinds(&self) -> Vec<(String, Option<Uuid>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = |line: &Value| text(&line["kind"]).unwrap_or_default();
        let uuid = |line: &Value| text(&line["uuid"]).and_then(|uuid| uuid.parse().ok());
        let mut kinds: Vec<_> = self.differences.iter().map(|line| (kind(line), uuid(line))).collect();
        kinds.sort();
        kinds
    }
}

/// Runs verify with these arguments and `--json`.
pub(crate) async fn verify(pair: &Pair, arguments: &[&str]) -> Result<Verified> {
    let arguments: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    verified(Run::command_service(pair, &arguments)?).await
}

pub(crate) async fn verified(run: Run) -> Result<Verified> {
    let ended = run.end().await?;
    let lines = ended.text()?.lines().map(|line| serde_json::from_str(line).context("a line is no JSON"));
    let mut differences = lines.collect::<Result<Vec<Value>>>()?;
    let total = differences.pop_if(|line| line["slots"].is_number()).unwrap_or_default();
    Ok(Verified { status: ended.status.code(), differences, total, errors: ended.errors })
}

/// Verify finds nothing to say but how much there is.
pub(crate) async fn assert_right(pair: &Pair) -> Result<Verified> {
    let verified = verify(pair, &[]).await?;
    anyhow::ensure!(verified.status == Some(0) && verified.differences.is_empty(), "{verified:#?}");
    Ok(verified)
}

/// A register in which everything has happened: ten slots, of which one in two was changed and one in five deleted.
pub(crate) async fn fill(client: &Client) -> Result<Vec<Uuid>> {
    let slots = crate::outages::create(client, 10).await?;
    for slot in slots.iter().step_by(2) {
        client.change(slot.uuid, json!({ "status": "occupied" })).await?.slot(200)?;
    }
    for slot in slots.iter().step_by(5) {
        client.delete(slot.uuid).await?.expect(204)?;
    }
    Ok(slots.iter().map(|slot| slot.uuid).collect())
}

#[test]
fn a_replica_that_does_not_say_how_old_it_is_claims_nothing_false() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        pair.replica.sql().await?.batch_execute("UPDATE replication_status SET as_of = NULL").await?;

        assert_right(pair).await?;
        Ok(())
    })
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() -> Result<()> {
    with_pair(async |pair| {
        let empty = assert_right(pair).await?;
        fill(&pair.client()).await?;

        let filled = assert_right(pair).await?;
        let text = Run::command_service(pair, &["verify"])?.end().await?.expect(0)?;
        let repaired = verify(pair, &["--repair"]).await?;

        let total = |slots: u64, end: i64| json!({ "slots": slots, "from": end, "to": end, "differences": 0, "healed": 0 });
        assert_eq!(empty.total, total(0, 0), "an empty register");
        assert_eq!(filled.total, total(10, 17), "deleted slots count");
        assert_eq!(text.text()?, "10 slots compared, at positions 17 to 17: no differences\n");
        assert_eq!((text.errors.as_str(), repaired.status), ("", Some(0)));
        assert_level(pair).await?;
        Ok(())
    })
}
