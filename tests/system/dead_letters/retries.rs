//! A letter retried goes through the same projection as every event, in any order, at any time.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use system_tests::{
    Pair, RECOVERY, Reply, assert_level, eventually,
    level::Everything,
    load::{Load, MIXED},
    random::seed,
    with_pair,
};

use super::by_hand::{letters_are, run};

/// What a read answers that hands the receipt of this write back.
async fn read_own(pair: &Pair, write: &Reply) -> Result<Reply> {
    let receipt = write.header("Write-Receipt").context("no receipt")?;
    let location = write.header("Location").context("no location")?;
    pair.client().get_path(&format!("{location}?receipt={receipt}&wait_ms=10000")).await
}

#[test]
fn what_a_constraint_refused_is_applied_by_retry_after_the_fix() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let write = client.create("culprit").await?.expect(201)?;
        letters_are(pair, 1).await?;
        let dead_lettered = read_own(pair, &write).await?;
        let without = client.list("").await?.expect(200)?;

        let too_early = run(pair, &["retry", "1"]).await?.expect(1)?;
        let kept = run(pair, &["list", "--json"]).await?.expect(0)?.json()?;
        pair.replica.accept_culprits().await?;
        let retried = run(pair, &["retry", "1"]).await?.expect(0)?;

        assert_eq!((dead_lettered.status.as_u16(), dead_lettered.problem()), (409, "dead-lettered"));
        assert_eq!(without.header("Freshness-Missing"), Some("1"));
        assert_eq!(too_early.text()?, "1: failed: 23514: refused\n");
        assert_eq!(too_early.errors, "event-consumer: 1 of 1 were not applied\n");
        assert_eq!((&kept["retries"], &kept["position"]), (&json!(1), &json!(1)));
        assert_eq!(
            (&kept["reason"], &kept["last_retry_reason"]),
            (&json!("23514: refused"), &json!("23514: refused"))
        );
        assert_eq!((retried.text()?, retried.errors.as_str()), ("1: applied\n", ""));
        let read = read_own(pair, &write).await?.expect(200)?;
        assert_eq!(read.body, write.body);
        assert_eq!(read.header("Freshness-Result"), Some("satisfied"));
        assert_eq!(read.header("Freshness-Missing"), None);
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_retry_changes_nothing_where_something_later_was_applied() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let changed = client.created("culprit 1").await?;
        let removed = client.created("culprit 2").await?;
        letters_are(pair, 2).await?;
        let renamed = client.change(changed.uuid, json!({ "name": "Renamed" })).await?.slot(200)?;
        client.delete(removed.uuid).await?.expect(204)?;
        // A later event of the slot heals it: it is a whole state.
        let healed =
            eventually(RECOVERY, "the rename is applied", async || client.get(changed.uuid).await?.slot(200))
                .await?;
        eventually(RECOVERY, "the delete is applied", async || {
            let applied = Everything::read(&pair.primary, &pair.replica).await?.status.applied;
            ensure!(applied == "{[0,5)}", "applied is {applied}");
            Ok(())
        })
        .await?;
        pair.replica.accept_culprits().await?;

        let retried = run(pair, &["retry", "--all", "--json"]).await?.expect(0)?;

        assert_eq!(healed, renamed);
        let outcomes = "{\"id\":1,\"outcome\":\"applied\",\"reason\":null}\n{\"id\":2,\"outcome\":\"applied\",\"reason\":null}\n";
        assert_eq!(retried.text()?, outcomes);
        assert_eq!(client.get(changed.uuid).await?.slot(200)?, renamed);
        client.get(removed.uuid).await?.expect(404)?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn letters_are_retried_while_the_consumer_works_on() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let culprits = (0..50).map(|number| {
            let client = client.clone();
            async move { client.created(&format!("culprit {number}")).await }
        });
        try_join_all(culprits).await?;
        letters_are(pair, 50).await?;
        let load = Load::start(&[pair.client()], 8, MIXED, seed());
        load.progress(50).await?;
        pair.replica.accept_culprits().await?;

        // Two at once: each letter is applied by one of them.
        let (one, other) = tokio::try_join!(run(pair, &["retry", "--all"]), run(pair, &["retry", "--all"]))?;
        load.progress(50).await?;
        let history = load.finish().await?;

        let applied = [one.expect(0)?, other.expect(0)?];
        let lines: usize =
            applied.iter().map(|ended| ended.text().map_or(0, |text| text.lines().count())).sum();
        assert_eq!(lines, 50);
        let everything = assert_level(pair).await?;
        let mut log = everything.events;
        log.retain(|event| !event.name.as_deref().is_some_and(|name| name.starts_with("culprit")));
        history.check(&log)
    })
}

#[test]
fn a_retry_is_undone_when_the_replica_goes_away_in_the_middle() -> Result<()> {
    with_pair(async |pair| {
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        pair.client().created("culprit").await?;
        letters_are(pair, 1).await?;
        // Not the event's fault: no disk.
        pair.replica.accept_culprits().await?;
        pair.replica.refuse_culprits("parking_slots", "53100").await?;

        let refused = run(pair, &["retry", "1"]).await?.expect(1)?;
        let kept = run(pair, &["list", "--json"]).await?.expect(0)?.json()?;
        pair.links.consumer_replica.cut().await;
        let away = run(pair, &["retry", "1"]).await?.expect(3)?;
        pair.links.consumer_replica.restore()?;
        pair.replica.accept_culprits().await?;
        run(pair, &["retry", "1"]).await?.expect(0)?;

        assert_eq!(refused.text()?, "", "nothing is said of the letter");
        assert_eq!((&kept["retries"], &kept["last_retry_reason"]), (&json!(0), &json!(null)));
        assert_eq!(away.errors, "event-consumer: the replica is down: Connection refused (os error 111)\n");
        assert_level(pair).await?;
        Ok(())
    })
}
