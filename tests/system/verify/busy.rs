//! While writes go on: nothing is found where nothing is wrong, and what is wrong is found and healed.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use system_tests::{
    Client, Pair, RECOVERY, Shape, Slot, assert_level, eventually,
    level::assert_level_with,
    load::{Load, MIXED},
    random::seed,
    with_pair,
};
use uuid::Uuid;

use super::{fill, verify};
use crate::outages::create;

const CLIENTS: usize = 24;

const RUNS: usize = 10;

/// Runs verify again and again under a load, and never finds anything.
async fn assert_never_wrong(pair: &Pair, load: &Load) -> Result<()> {
    for run in 1..=RUNS {
        let acknowledged = load.acknowledged();
        let verified = verify(pair, &[]).await?;

        ensure!(verified.status == Some(0), "run {run}: {verified:#?}");
        let (from, to) = (verified.total["from"].as_i64(), verified.total["to"].as_i64());
        ensure!(from < to, "run {run}: the log stood still: {:?}", verified.total);
        ensure!(load.acknowledged() > acknowledged, "run {run}: there was no load");
    }
    Ok(())
}

#[test]
fn under_full_load_there_is_no_false_alarm() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
        load.progress(200).await?;

        assert_never_wrong(pair, &load).await?;

        let history = load.finish().await?;
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

/// Makes the replica late again and again, by so many commands each time. Ends by an error only.
async fn hold_up(pair: &Pair, load: &Load) -> Result<()> {
    loop {
        let hold = pair.replica.hold_status().await?;
        load.progress(100).await?;
        hold.release().await?;
        load.progress(20).await?;
    }
}

/// Changes one slot after the other, for ever.
async fn change_again_and_again(client: Client, slots: &[Slot]) -> Result<()> {
    for number in 0_u64.. {
        for slot in slots {
            let name = format!("Changed {number}");
            client.change(slot.uuid, json!({ "name": name })).await?.slot(200)?;
        }
    }
    Ok(())
}

#[test]
fn slots_that_are_changed_all_the_time_on_a_replica_that_is_late_are_no_false_alarm() -> Result<()> {
    with_pair(async |pair| {
        let slots = create(&pair.client(), 32).await?;
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
        load.progress(200).await?;
        // Whenever it is looked at them, they are not what they are at the end of the log.
        let changes = slots.chunks(4).map(|part| change_again_and_again(pair.client(), part));

        tokio::select! {
            checked = assert_never_wrong(pair, &load) => checked?,
            held = hold_up(pair, &load) => held?,
            changed = try_join_all(changes) => drop(changed?),
        }

        load.finish().await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn messages_out_of_order_and_repeated_are_no_false_alarm() -> Result<()> {
    // Two consumers and two command-services: more of everything at once.
    let many = Shape { command_services: 2, event_consumers: 2, ..Shape::default() };
    many.run(async |pair| {
        let clients: Vec<_> = pair.command_services.iter().map(|service| service.client()).collect();
        let load = Load::start(&clients, CLIENTS, MIXED, seed());
        load.progress(200).await?;

        for _ in 0..3 {
            // What it held comes again, and the other one goes on.
            pair.replica.end_connections_of("projection").await?;
            let verified = verify(pair, &[]).await?;
            ensure!(verified.status == Some(0), "{verified:#?}");
        }

        let history = load.finish().await?;
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

/// Damages of each of the four kinds that people make, to slots that the load does not know; how many.
async fn damage(pair: &Pair, slots: &[Uuid]) -> Result<Vec<(String, Option<Uuid>)>> {
    let sql = pair.replica.sql().await?;
    let invented = Uuid::now_v7();
    sql.execute("UPDATE parking_slots SET name = 'By hand', version = 50 WHERE uuid = $1", &[&slots[1]])
        .await?;
    sql.execute("DELETE FROM parking_slots WHERE uuid = $1", &[&slots[2]]).await?;
    let invent = "INSERT INTO parking_slots VALUES ($1, 1, now(), now(), 'blocked', 'Invented')";
    sql.execute(invent, &[&invented]).await?;
    sql.batch_execute("UPDATE parking_slot_summary SET slots = slots - 3 WHERE status = 'blocked'").await?;
    let mut damages = vec![
        ("differs".to_owned(), Some(slots[1])),
        ("missing".to_owned(), Some(slots[2])),
        ("invented".to_owned(), Some(invented)),
        ("summary".to_owned(), None),
    ];
    damages.sort();
    Ok(damages)
}

#[test]
fn under_full_load_the_four_kinds_of_damage_are_found_exactly_and_healed() -> Result<()> {
    with_pair(async |pair| {
        let slots = fill(&pair.client()).await?;
        assert_level(pair).await?;
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
        load.progress(200).await?;
        let damages = damage(pair, &slots).await?;

        let found = verify(pair, &[]).await?;
        let healed = verify(pair, &["--repair"]).await?;
        let after = verify(pair, &[]).await?;

        assert_eq!((found.status, found.kinds()), (Some(1), damages.clone()), "{found:#?}");
        assert_eq!((healed.status, healed.kinds()), (Some(0), damages), "{healed:#?}");
        assert_eq!((after.status, after.differences.len()), (Some(0), 0), "{after:#?}");
        load.progress(10).await?;
        load.finish().await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn slots_that_are_changed_all_the_time_are_healed_beside_their_changes() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
        load.progress(300).await?;
        // Every row that there is: no event has a version so high, so none of them would heal it.
        let raised = "UPDATE parking_slots SET version = version + 1000000, name = 'By hand'";
        let sql = pair.replica.sql().await?;
        // Like the consumer it locks many rows, in another order: of a deadlock either may be the victim.
        let edit = async || Ok(sql.execute(raised, &[]).await?);
        let raised = eventually(RECOVERY, "every row is edited by hand", edit).await?;

        let healed = verify(pair, &["--repair"]).await?;

        assert_eq!(healed.status, Some(0), "{:?} {}", healed.total, healed.errors);
        let found = healed.total["differences"].as_u64().context("no number")?;
        ensure!(
            found > 50 && found <= raised,
            "{found} of {raised} were healed; the rest was deleted meanwhile"
        );
        let history = load.finish().await?;
        // A row whose delete came while its version was raised is left to the next look.
        eventually(RECOVERY, "nothing is left to be healed", async || {
            let left = verify(pair, &["--repair"]).await?;
            ensure!(left.status == Some(0) && left.differences.is_empty(), "{left:#?}");
            Ok(())
        })
        .await?;
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}
