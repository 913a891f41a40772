//! A rebuild killed anywhere: what was there works on, and the next rebuild succeeds.

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, assert_level, blocking, database::Hold, eventually, program::Running, with_pair};

use super::{
    Kept, assert_no_queue_left, assert_nothing_left, fill, hold_in_the_middle, last_of, readers::Readers,
    rebuild, rebuilt, stage_deadline, until,
};

const READERS: usize = 10;

/// Kills a rebuild when `reach` says so. What it returns stands in the way of the rebuild, and ends after the kill.
async fn works_on_after_a_kill(
    pair: &Pair,
    reach: impl AsyncFnOnce(&Pair, &[Kept], &mut Option<Running>) -> Result<Option<Hold>>,
) -> Result<()> {
    let kept = fill(pair).await?;
    let mut readers = Readers::start(pair, &kept, &[], READERS);
    readers.go_on().await?;

    let mut running = None;
    let in_the_way = reach(pair, &kept, &mut running).await?;
    running.as_mut().context("it does not run")?.kill()?;
    drop(in_the_way);

    readers.go_on().await?;
    pair.client().created("After the kill").await?;
    readers.go_on().await?;
    assert_no_queue_left(pair).await?;
    let done = rebuilt(rebuild(pair)?.end().await?)?;
    readers.go_on().await?;
    let seen = readers.finish().await?;
    println!("{done}; {} reads, the slowest {:?}", seen.reads, seen.slowest);
    assert_level(pair).await?;
    assert_nothing_left(pair).await?;
    pair.ready().await
}

/// Waits until the rebuild waits for such a lock.
async fn rebuild_waits_for(pair: &Pair, locktype: &str, mode: &str) -> Result<()> {
    let waits = format!(
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
                        WHERE application_name = 'rebuild' AND datname = current_database()
                          AND locktype = '{locktype}' AND mode = '{mode}' AND NOT granted)"
    );
    until(pair, &format!("the rebuild waits for {mode}"), &waits).await
}

#[test]
fn a_rebuild_killed_when_it_has_just_begun_leaves_the_replica_as_it_was() -> Result<()> {
    with_pair(async |pair| {
        works_on_after_a_kill(pair, async |pair, _, running| {
            *running = Some(rebuild(pair)?.start()?);
            until(pair, "its schema is there", "SELECT to_regnamespace('rebuild') IS NOT NULL").await?;
            Ok(None)
        })
        .await
    })
}

#[test]
fn a_rebuild_killed_in_the_middle_leaves_the_replica_as_it_was() -> Result<()> {
    with_pair(async |pair| {
        works_on_after_a_kill(pair, async |pair, kept, running| {
            *running = Some(rebuild(pair)?.start()?);
            Ok(Some(hold_in_the_middle(pair, last_of(kept)?).await?))
        })
        .await
    })
}

#[test]
fn a_rebuild_killed_when_it_is_level_leaves_the_replica_as_it_was() -> Result<()> {
    with_pair(async |pair| {
        works_on_after_a_kill(pair, async |pair, _, running| {
            // As housekeeping or an index that is being made has it.
            let hold = pair.replica.hold("LOCK TABLE parking_slots IN SHARE UPDATE EXCLUSIVE MODE").await?;
            *running = Some(rebuild(pair)?.start()?);
            rebuild_waits_for(pair, "relation", "ShareUpdateExclusiveLock").await?;
            Ok(Some(hold))
        })
        .await
    })
}

#[test]
fn a_rebuild_killed_within_the_swap_leaves_the_replica_as_it_was() -> Result<()> {
    with_pair(async |pair| {
        works_on_after_a_kill(pair, async |pair, _, running| {
            // As a long read has it.
            let hold = pair.replica.hold("LOCK TABLE parking_slots IN ACCESS SHARE MODE").await?;
            *running = Some(rebuild(pair)?.start()?);
            rebuild_waits_for(pair, "relation", "AccessExclusiveLock").await?;
            Ok(Some(hold))
        })
        .await
    })
}

#[test]
fn a_rebuild_killed_after_the_swap_leaves_the_new_replica() -> Result<()> {
    with_pair(async |pair| {
        works_on_after_a_kill(pair, async |pair, _, running| {
            let sql = pair.replica.sql().await?;
            // What was replaced cannot be dropped while this lock is held.
            sql.batch_execute(
                "CREATE FUNCTION hold_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
                 BEGIN PERFORM pg_advisory_xact_lock(4711); END $$;
                 CREATE EVENT TRIGGER hold_drop ON ddl_command_start WHEN TAG IN ('DROP SCHEMA')
                     EXECUTE FUNCTION hold_drop()",
            )
            .await?;
            let old = "SELECT 'parking_slots'::regclass::oid::bigint";
            let before: i64 = sql.query_one(old, &[]).await?.try_get(0)?;
            let hold = pair.replica.hold("SELECT pg_advisory_xact_lock(4711)").await?;
            *running = Some(rebuild(pair)?.start()?);
            rebuild_waits_for(pair, "advisory", "ExclusiveLock").await?;
            let after: i64 = sql.query_one(old, &[]).await?.try_get(0)?;
            ensure!(before != after, "the swap has not been yet");
            sql.batch_execute("DROP EVENT TRIGGER hold_drop").await?;
            Ok(Some(hold))
        })
        .await
    })
}

#[test]
fn a_rebuild_works_while_the_consumer_is_killed_and_started_again() -> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        let running = rebuild(pair)?.start()?;
        let hold = hold_in_the_middle(pair, last_of(&kept)?).await?;

        pair.event_consumer().kill()?;
        pair.client().created("While nobody consumes").await?;
        hold.release().await?;
        let done = rebuilt(running.end().await?)?;

        assert_eq!(done["slots"], super::slots() + 1);
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.event_consumer().start().await?;
        pair.client().created("Consumed again").await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_goes_on_when_the_replica_has_crashed() -> Result<()> {
    let own = system_tests::Shape { own_replica: true, ..system_tests::Shape::default() };
    own.run(async |pair| {
        let kept = fill(pair).await?;
        let running = rebuild(pair)?.start()?;
        // The lock ends with the server.
        drop(hold_in_the_middle(pair, last_of(&kept)?).await?);

        let server = pair.replica.server.clone();
        blocking(move || {
            server.crash()?;
            server.start()
        })
        .await?;
        let done = rebuilt(running.end().await?)?;

        assert_eq!(done["slots"], super::slots());
        eventually(stage_deadline(), "every service is back", async || pair.ready().await).await?;
        assert_level(pair).await?;
        assert_nothing_left(pair).await
    })
}
