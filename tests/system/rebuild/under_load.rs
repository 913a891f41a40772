//! Rebuilds beside readers and writers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_tests::{
    Pair, Shape, assert_level,
    freshness::{Trial, Writing, trial::Fault},
    load::{Load, MIXED},
    random::seed,
    with_pair,
};
use tokio_util::sync::CancellationToken;

use super::{Kept, assert_nothing_left, fill, readers::Readers, rebuild, rebuilt};

const READERS: usize = 50;

/// Clients of the load beside them.
const CLIENTS: usize = 4;

/// How often receipts of long ago are asked for at the end.
const OLD_RECEIPTS: usize = 20;

/// An invented row, a deleted row, an edited row, a wrong summary.
async fn damage(pair: &Pair, kept: &[Kept]) -> Result<[uuid::Uuid; 2]> {
    let (edited, deleted) = (kept[0].slots[1].uuid, kept[0].slots[2].uuid);
    let sql = pair.replica.sql().await?;
    sql.execute("UPDATE parking_slots SET name = 'Edited', version = 9 WHERE uuid = $1", &[&edited]).await?;
    sql.execute("DELETE FROM parking_slots WHERE uuid = $1", &[&deleted]).await?;
    sql.batch_execute(
        "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
         VALUES (gen_random_uuid(), 1, now(), now(), 'available', 'Invented');
         UPDATE parking_slot_summary SET slots = slots + 7 WHERE status = 'blocked'",
    )
    .await?;
    Ok([edited, deleted])
}

/// Every receipt means now what it meant when it was given.
async fn assert_applied(pair: &Pair, receipts: impl IntoIterator<Item = &String>) -> Result<()> {
    let client = pair.client();
    for receipt in receipts {
        let state = client.get_path(&format!("/receipts/{receipt}")).await?.expect(200)?.body;
        ensure!(state["state"] == "applied", "it says {state}");
    }
    Ok(())
}

#[test]
fn fifty_readers_see_neither_an_error_nor_a_shrinking_list_nor_a_broken_receipt_during_a_rebuild()
-> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        let damaged = damage(pair, &kept).await?;
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
        let mut readers = Readers::start(pair, &kept, &damaged, READERS);
        readers.go_on().await?;

        let done = rebuilt(rebuild(pair)?.end().await?)?;

        readers.go_on().await?;
        let seen = readers.finish().await?;
        let history = load.finish().await?;
        println!(
            "{} slots rebuilt in {} ms; {} reads, {} of them walks from beginning to end, the slowest {:?}; {} writes",
            done["slots"],
            done["duration_ms"],
            seen.reads,
            seen.walks,
            seen.slowest,
            history.acknowledged() + seen.receipts.len()
        );
        ensure!(
            history.unknown() + history.refused(|status| status >= 500) == 0,
            "commands are not concerned"
        );
        assert_level(pair).await?;
        let old = kept.iter().map(|batch| &batch.receipt).take(OLD_RECEIPTS);
        assert_applied(pair, old.chain(seen.receipts.iter().rev().take(100))).await?;
        assert_nothing_left(pair).await?;
        pair.ready().await
    })
}

#[test]
fn no_answer_lies_while_the_replica_is_rebuilt_again_and_again() -> Result<()> {
    const REBUILDS: usize = 3;
    const FLOOR: usize = 20;
    Shape { command_services: 2, ..Shape::default() }.run(async |pair| {
        let trial = Trial {
            writing: Writing::IN_BURSTS,
            readers: 12,
            handing_on: 3,
            wandering: 0,
            fault: Fault::None,
            seed: seed(),
        };
        let all_rebuilt = CancellationToken::new();
        let rebuilding = async {
            // Ends the trial on a failure, too.
            let _ended = all_rebuilt.clone().drop_guard();
            for _ in 0..REBUILDS {
                rebuilt(rebuild(pair)?.end().await?)?;
            }
            Ok::<_, anyhow::Error>(())
        };

        let (verdict, rebuilt) = tokio::join!(
            trial.run(pair, Duration::from_secs(90), |verdict| {
                all_rebuilt.is_cancelled() && verdict.checks.reach(FLOOR)
            }),
            rebuilding
        );

        rebuilt.context("a rebuild failed")?;
        let verdict = verdict?;
        assert_eq!(verdict.violation, None);
        ensure!(verdict.checks.reach(FLOOR), "too little was checked: {verdict}");
        assert_eq!(verdict.checks.unavailable, 0, "reads go on throughout");
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.ready().await
    })
}
