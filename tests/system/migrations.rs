//! Migrations outside a transaction: reads and writes go on, and an interruption costs no more than time.

use anyhow::{Result, ensure};
use system_tests::{
    Pair, RECOVERY, assert_level,
    database::Hold,
    eventually,
    program::{Run, Running},
    with_pair,
};

/// The first migration of the replica that runs outside a transaction.
const FIRST_OUTSIDE: i32 = 4;

/// The indexes that it builds.
const INDEXES: [&str; 2] = ["parking_slots_name_trigrams", "parking_slots_status_order"];

#[test]
fn an_index_is_built_while_events_are_applied_and_read() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        assert_level(pair).await?;
        undo(pair).await?;
        let hold = hold_up_indexes(pair).await?;
        let migrating = Run::event_consumer(pair, &["migrate"])?.start()?;
        until_index(pair, false).await?;

        for number in 2..20 {
            client.created(&format!("Slot {number}")).await?;
        }
        assert_level(pair).await?;
        let found = client.list("?name=slot+1&status=available").await?.expect(200)?;
        assert_eq!(found.body["items"].as_array().map(Vec::len), Some(11), "{}", found.body);
        assert_eq!(history(pair).await?, 0, "the migration counts only when all its steps are complete");
        pair.ready().await?;

        until_said(&migrating, "it waits for the transaction of test (pid ").await?;
        hold.release().await?;
        migrating.end().await?.expect(0)?;
        until_index(pair, true).await?;
        assert_eq!(history(pair).await?, 1);
        client.created("Slot 20").await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_migrator_that_is_killed_while_it_builds_an_index_is_followed_by_one_that_builds_it_again() -> Result<()>
{
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;
        undo(pair).await?;
        let hold = hold_up_indexes(pair).await?;
        let mut migrating = Run::event_consumer(pair, &["migrate"])?.start()?;
        until_index(pair, false).await?;

        migrating.kill()?;
        eventually(RECOVERY, "the server ends its session", async || {
            let left = migrators(pair).await?;
            ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await?;
        hold.release().await?;
        until_index(pair, false).await?;
        assert_eq!(history(pair).await?, 0);

        let again = Run::event_consumer(pair, &["migrate", "--json"])?.end().await?.expect(0)?;

        assert_eq!(again.json()?["migrations_applied"], migrations_from_first());
        ensure!(again.errors.contains("an interrupted build has left"), "it says {:?}", again.errors);
        assert_eq!(indexes(pair).await?, INDEXES.map(|name| (name.to_owned(), true)));
        assert_eq!(history(pair).await?, 1);
        Ok(())
    })
}

#[test]
fn of_two_migrators_at_once_the_second_waits_for_an_index_and_says_so() -> Result<()> {
    with_pair(async |pair| {
        undo(pair).await?;
        let hold = hold_up_indexes(pair).await?;
        let migrate = || -> Result<Running> { Run::event_consumer(pair, &["migrate", "--json"])?.start() };
        let first = migrate()?;
        until_index(pair, false).await?;
        let second = migrate()?;

        until_said(&second, "waiting for its end").await?;
        hold.release().await?;
        let (first, second) = (first.end().await?.expect(0)?, second.end().await?.expect(0)?);

        assert_eq!(first.json()?["migrations_applied"], migrations_from_first());
        assert_eq!(second.json()?["migrations_applied"], 0);
        let said = "event-consumer: another migration of this database is running: \
                    waiting for its end, for up to an hour\n";
        assert_eq!(second.errors, said);
        assert_eq!(indexes(pair).await?, INDEXES.map(|name| (name.to_owned(), true)));
        Ok(())
    })
}

#[test]
fn a_rebuilt_copy_has_the_same_indexes_and_waits_for_no_reader_to_make_them() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;
        let before = definitions(pair).await?;
        ensure!(INDEXES.iter().all(|name| before.iter().any(|one| one.contains(name))), "{before:?}");
        // It sees an old state of everything, and locks nothing that the swap needs.
        let reader = pair.replica.hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1").await?;

        Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(0)?;

        reader.release().await?;
        assert_eq!(definitions(pair).await?, before);
        let again = Run::event_consumer(pair, &["migrate", "--json"])?.end().await?.expect(0)?;
        assert_eq!(again.json()?["migrations_applied"], 0);
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_rebuild_is_refused_at_once_while_the_replica_is_migrated() -> Result<()> {
    with_pair(async |pair| {
        undo(pair).await?;
        let hold = hold_up_indexes(pair).await?;
        let migrating = Run::event_consumer(pair, &["migrate"])?.start()?;
        until_index(pair, false).await?;

        let refused = Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(1)?;

        ensure!(refused.errors.contains("run event-consumer migrate"), "it says {:?}", refused.errors);
        hold.release().await?;
        migrating.end().await?.expect(0)?;
        Ok(())
    })
}

/// Takes the replica back to the state before the first migration outside a transaction. The later ones stay made;
/// each can run twice.
async fn undo(pair: &Pair) -> Result<()> {
    let undo = format!(
        "DROP INDEX {}; DELETE FROM refinery_schema_history WHERE version >= {FIRST_OUTSIDE}",
        INDEXES.join(", ")
    );
    Ok(pair.replica.sql().await?.batch_execute(&undo).await?)
}

fn migrations_from_first() -> usize {
    let migrations = event_consumer::projection::migrations();
    migrations.get_migrations().iter().filter(|migration| migration.version() >= FIRST_OUTSIDE).count()
}

/// A transaction that an index of the slots waits for, and that lets everybody else read and write.
async fn hold_up_indexes(pair: &Pair) -> Result<Hold> {
    pair.replica.hold("LOCK TABLE parking_slots IN ROW EXCLUSIVE MODE").await
}

/// Waits until the migrator has said this.
async fn until_said(migrating: &Running, text: &str) -> Result<()> {
    eventually(RECOVERY, "the migrator says what it waits for", async || {
        let said = migrating.said();
        ensure!(said.contains(text), "it says {said:?}");
        Ok(())
    })
    .await
}

/// Waits until the first index is there, and valid or not.
async fn until_index(pair: &Pair, valid: bool) -> Result<()> {
    eventually(RECOVERY, "the index is there", async || {
        let indexes = indexes(pair).await?;
        ensure!(indexes.iter().any(|(_, is_valid)| *is_valid == valid), "there are {indexes:?}");
        Ok(())
    })
    .await
}

/// The indexes of the migration that are there, and whether each is valid.
async fn indexes(pair: &Pair) -> Result<Vec<(String, bool)>> {
    let sql = "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
               WHERE indrelid = 'public.parking_slots'::regclass AND relname = ANY ($1) ORDER BY relname";
    let rows = pair.replica.sql().await?.query(sql, &[&&INDEXES[..]]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How often the history names the migration.
async fn history(pair: &Pair) -> Result<i64> {
    let sql = "SELECT count(*) FROM refinery_schema_history WHERE version = $1";
    Ok(pair.replica.sql().await?.query_one(sql, &[&FIRST_OUTSIDE]).await?.try_get(0)?)
}

/// How many sessions of migrators the replica has.
async fn migrators(pair: &Pair) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'migrate'";
    Ok(pair.replica.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

/// The definition of every index of the replica.
async fn definitions(pair: &Pair) -> Result<Vec<String>> {
    let sql = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef";
    let rows = pair.replica.sql().await?.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
