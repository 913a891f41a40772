//! A rebuild that cannot be, or is not to be: it says why, and the replica is as it was.

use anyhow::{Context, Result, ensure};
use stack::process::{Process, Signal};
use system_tests::{Pair, assert_level, program::Run, with_pair};

use super::{assert_nothing_left, fill, hold_in_the_middle, last_of, rebuild, rebuilt};

/// Rebuilds, which must be refused with this line.
async fn refused(pair: &Pair, line: &str) -> Result<()> {
    let ended = rebuild(pair)?.end().await?.expect(1)?;

    assert_eq!(ended.text()?, "", "nothing was done");
    assert_eq!(ended.errors, format!("event-consumer: {line}; the replica is as it was\n"));
    Ok(())
}

#[test]
fn of_two_rebuilds_at_once_the_second_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        let first = rebuild(pair)?.start()?;
        let hold = hold_in_the_middle(pair, last_of(&kept)?).await?;

        refused(pair, "another rebuild of this replica is at work").await?;

        hold.release().await?;
        rebuilt(first.end().await?)?;
        assert_level(pair).await?;
        assert_nothing_left(pair).await
    })
}

#[test]
fn a_rebuild_that_is_asked_to_stop_removes_what_it_has_built() -> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        for signal in [Signal::TERM, Signal::INT] {
            let running = rebuild(pair)?.start()?;
            let hold = hold_in_the_middle(pair, last_of(&kept)?).await?;

            let process = i32::try_from(running.pid()).ok().and_then(Process::of);
            process.context("it has ended")?.signal(signal)?;
            hold.release().await?;
            let ended = running.end().await?.expect(1)?;

            assert!(
                ended.errors.ends_with("event-consumer: interrupted; the replica is as it was\n"),
                "it says {:?}",
                ended.errors
            );
            assert_nothing_left(pair).await?;
        }
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_touches_no_schema_of_somebody_else() -> Result<()> {
    with_pair(async |pair| {
        let sql = pair.replica.sql().await?;
        for schema in ["rebuild", "replaced"] {
            sql.batch_execute(&format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.mine (number integer)"
            ))
            .await?;

            refused(pair, &format!("the schema `{schema}` is not of a rebuild: rename or drop it")).await?;

            sql.batch_execute(&format!("DROP TABLE {schema}.mine; DROP SCHEMA {schema}")).await?;
        }
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_is_refused_if_something_would_be_lost_with_the_old_tables() -> Result<()> {
    let additions = [
        ("CREATE VIEW mine AS SELECT name FROM parking_slots", "rule _RETURN on view mine", "DROP VIEW mine"),
        (
            "ALTER TABLE parking_slots ADD COLUMN mine text",
            "column mine of parking_slots",
            "ALTER TABLE parking_slots DROP COLUMN mine",
        ),
        (
            "CREATE TABLE mine (slot uuid CONSTRAINT mine_slot REFERENCES parking_slots (uuid))",
            "constraint mine_slot on table mine",
            "DROP TABLE mine",
        ),
        (
            "CREATE PUBLICATION mine FOR TABLE parking_slots",
            "parking_slots in publication mine",
            "DROP PUBLICATION mine",
        ),
    ];
    with_pair(async |pair| {
        let sql = pair.replica.sql().await?;
        for (add, named, remove) in additions {
            sql.batch_execute(add).await?;

            let line = "this hangs on the replica's tables and would be lost, so remove it first";
            refused(pair, &format!("{line}: {named}")).await.with_context(|| add)?;

            sql.batch_execute(remove).await?;
            assert_nothing_left(pair).await?;
        }
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_names_who_is_in_the_way_of_its_swap_and_holds_up_nobody_for_long() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        let reader = pair.replica.hold("SELECT FROM parking_slots").await?;
        let running = Run::event_consumer(pair, &["rebuild", "--patience", "4"])?.start()?;

        // Reads and writes go on all the while.
        let mut slowest = std::time::Duration::ZERO;
        let mut running_on = 0;
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name = 'rebuild' AND datname = current_database()";
        while running_on < 10
            || pair.replica.sql().await?.query_one(waits, &[]).await?.try_get::<_, i64>(0)? > 0
        {
            let reply = client.create("Slot 2").await?.expect(201)?;
            let receipt = reply.header("write-receipt").context("no receipt")?.to_owned();
            let read = client.list(&format!("?limit=1&receipt={receipt}")).await?.expect(200)?;
            slowest = slowest.max(read.took);
            running_on += 1;
        }
        let ended = running.end().await?.expect(1)?;

        let (_, named) = ended.errors.rsplit_once("in the way: ").context("nobody is named")?;
        // Who applies something just then may be named, too.
        ensure!(named.contains("test (pid "), "it says {:?}", ended.errors);
        ensure!(slowest < std::time::Duration::from_secs(2), "a read took {slowest:?}");
        reader.release().await?;
        assert_nothing_left(pair).await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_replica_that_was_never_migrated_is_not_rebuilt() -> Result<()> {
    with_pair(async |pair| {
        let settings = pair.consumer_environment();
        let url = settings.iter().find(|(name, _)| name == "REPLICA_DATABASE_URL").context("no replica")?;
        let empty = url.1.replace(&format!("/{}", pair.replica.name), "/postgres");
        ensure!(empty != url.1, "{empty}");

        let ended = rebuild(pair)?.with("REPLICA_DATABASE_URL", Some(&empty)).end().await?.expect(1)?;

        ensure!(ended.errors.contains("run event-consumer migrate"), "it says {:?}", ended.errors);
        Ok(())
    })
}

#[test]
fn a_replica_that_claims_more_than_the_log_has_is_rebuilt_from_the_log() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;
        let sql = pair.replica.sql().await?;
        sql.batch_execute("UPDATE replication_status SET applied = '{[0,2),[50,60)}'").await?;

        Run::event_consumer(pair, &["rebuild", "--patience", "8"])?.end().await?.expect(0)?;

        assert_nothing_left(pair).await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
