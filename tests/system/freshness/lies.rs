//! The tests of `truth`, tested: designs that would lie are caught. Each lie is told from outside of the product, by
//! its databases, its roles or its broker.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context, Result};
use stack::Role;
use system_tests::{
    Pair,
    bridge::{Bridge, Disorder},
    database::Database,
    freshness::{Trial, Verdict, trial::make_commits_slow},
    random::seed,
};

use super::truth::{behind_a_bridge, everything_at_once, release_the_first_late, slow_commits};

/// A lie is caught within this.
const CAUGHT_WITHIN: Duration = Duration::from_secs(20);

/// Has a role find what is in the schema `lies` before everything else, in this database only.
async fn look_among_lies_first(database: &Database, role: Role) -> Result<()> {
    let (role, name) = (role.name(), &database.name);
    let sql = format!(
        "GRANT USAGE ON SCHEMA lies TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA lies TO {role};
         ALTER ROLE {role} IN DATABASE {name} SET search_path = lies, pg_catalog, public;"
    );
    Ok(database.sql().await?.batch_execute(&sql).await?)
}

/// Runs the trial until it finds an answer that was not true, which it must.
async fn caught(pair: &Pair, trial: Trial) -> Result<()> {
    let verdict = trial.run(pair, CAUGHT_WITHIN, |_| false).await?;
    assert_caught(&verdict)
}

fn assert_caught(verdict: &Verdict) -> Result<()> {
    let violation = verdict.violation.as_ref().context("the lie was believed")?;
    println!("caught: {violation}");
    Ok(())
}

#[test]
fn the_highest_position_in_place_of_the_first_hole_is_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        let lie = "ALTER TABLE replication_status DROP COLUMN applied_through,
                   ADD COLUMN applied_through bigint NOT NULL GENERATED ALWAYS AS (upper(applied) - 1) STORED";
        pair.replica.sql().await?.batch_execute(lie).await?;
        let _bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;

        caught(pair, everything_at_once(seed)).await
    })
}

#[test]
fn a_watermark_that_trusts_the_order_of_arrival_is_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        let disorder = Disorder { watermark_position: Some(0), ..Disorder::STRONG };
        let _bridge = Bridge::open_before(pair, disorder, seed).await?;

        caught(pair, everything_at_once(seed)).await
    })
}

#[test]
fn an_applied_set_that_starts_empty_is_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        let lie = "
            CREATE FUNCTION end_of_first_range(ranges int8multirange) RETURNS bigint LANGUAGE sql IMMUTABLE
                RETURN coalesce((SELECT min(upper(range)) FROM unnest(ranges) AS range) - 1, 0);
            ALTER TABLE replication_status DROP CONSTRAINT replication_status_starts_at_zero;
            ALTER TABLE replication_status DROP COLUMN applied_through;
            ALTER TABLE replication_status ADD COLUMN applied_through bigint NOT NULL
                GENERATED ALWAYS AS (end_of_first_range(applied)) STORED;
            UPDATE replication_status SET applied = '{}';
            -- An empty set has no end, on which the readers would stumble before they can lie.
            CREATE SCHEMA lies;
            CREATE VIEW lies.replication_status AS
                SELECT singleton, CASE WHEN isempty(applied) THEN '{[0,1)}' ELSE applied END AS applied,
                       applied_through, as_of, applied_at, epoch
                FROM public.replication_status;";
        pair.replica.sql().await?.batch_execute(lie).await?;
        look_among_lies_first(&pair.replica, Role::CommandServiceReader).await?;
        let bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;
        bridge.hold(|position| position == 1);

        let (caught, released) =
            tokio::join!(caught(pair, everything_at_once(seed)), release_the_first_late(&bridge));

        released?;
        caught
    })
}

#[test]
fn a_watermark_without_the_commit_lock_is_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        make_commits_slow(pair).await?;
        let lie = "
            CREATE SCHEMA lies;
            CREATE FUNCTION lies.pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql RETURN true;";
        pair.primary.sql().await?.batch_execute(lie).await?;
        look_among_lies_first(&pair.primary, Role::CommandService).await?;
        let _bridge = Bridge::open_before(pair, Disorder::NONE, seed).await?;

        caught(pair, slow_commits(seed)).await
    })
}

/// Tells the readers of an event as soon as it has gone onto the bridge.
async fn push_ahead(pair: &Pair, bridge: &Bridge) -> Result<Infallible> {
    let sql = pair.replica.sql().await?;
    let mut seen = bridge.seen();
    loop {
        seen.changed().await?;
        let last = *seen.borrow_and_update();
        let pushed = "UPDATE lies.pushed SET position = $1, as_of = $2";
        sql.execute(pushed, &[&last.position, &last.committed_at]).await?;
        sql.execute("SELECT pg_notify('replication_status', '')", &[]).await?;
    }
}

#[test]
fn a_status_that_is_not_of_the_snapshot_of_the_rows_is_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        let lie = "
            CREATE SCHEMA lies;
            CREATE TABLE lies.pushed (position bigint NOT NULL, as_of timestamptz);
            INSERT INTO lies.pushed VALUES (0, NULL);
            CREATE VIEW lies.replication_status AS
                SELECT status.singleton,
                       status.applied + int8multirange(int8range(0, pushed.position, '[]')) AS applied,
                       greatest(status.applied_through, pushed.position) AS applied_through,
                       greatest(status.as_of, pushed.as_of) AS as_of,
                       status.applied_at, status.epoch
                FROM public.replication_status AS status, lies.pushed;";
        pair.replica.sql().await?.batch_execute(lie).await?;
        look_among_lies_first(&pair.replica, Role::CommandServiceReader).await?;
        let bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;

        tokio::select! {
            caught = caught(pair, everything_at_once(seed)) => caught,
            failed = push_ahead(pair, &bridge) => match failed? {},
        }
    })
}

#[test]
fn equal_commit_times_in_a_batch_are_caught() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        let lie = "
            CREATE SCHEMA lies;
            CREATE FUNCTION lies.no_time(bigint, interval) RETURNS interval LANGUAGE sql IMMUTABLE
                RETURN interval '0';
            CREATE OPERATOR lies.* (LEFTARG = bigint, RIGHTARG = interval, FUNCTION = lies.no_time);";
        pair.primary.sql().await?.batch_execute(lie).await?;
        look_among_lies_first(&pair.primary, Role::CommandService).await?;
        let _bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;

        caught(pair, everything_at_once(seed)).await
    })
}
