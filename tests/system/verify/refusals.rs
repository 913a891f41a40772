//! What cannot be compared is not called right, nor wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{Pair, Shape, assert_level, program::Run, with_pair};
use uuid::Uuid;

use super::{assert_right, fill, verified, verify};

/// Verify says this on standard error, and nothing else.
async fn assert_refused(pair: &Pair, arguments: &[&str], status: i32, errors: &str) -> Result<()> {
    let refused = verify(pair, arguments).await?;
    ensure!(refused.status == Some(status) && refused.errors == errors, "{refused:#?}");
    ensure!(refused.differences.is_empty() && refused.total.is_null(), "{refused:#?}");
    Ok(())
}

#[test]
fn a_replica_that_is_not_level_in_time_is_refused_with_what_it_lacks() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        fill(&pair.client()).await?;
        let start = Instant::now();

        let lacking = "command-service: the replica lacks position 18 and 16 more of those up to 34: does its event-consumer run?\n";
        assert_refused(pair, &["--wait-ms", "500"], 1, lacking).await?;

        ensure!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
        // It waits for as long as it may.
        let waiting = Run::command_service(pair, &["verify", "--json"])?.start()?;
        pair.event_consumer().start().await?;
        waiting.end().await?.expect(0)?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_replica_of_another_life_of_the_primary_is_refused() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_level(pair).await?;
        pair.command_service().stop().await?;
        let sql = pair.primary.sql().await?;
        sql.batch_execute("UPDATE epoch SET epoch = gen_random_uuid()").await?;

        let foreign = "command-service: the replica is of another epoch: run event-consumer rebuild\n";
        assert_refused(pair, &[], 1, foreign).await?;
        assert_refused(pair, &["--repair"], 1, foreign).await
    })
}

#[test]
fn a_replica_that_has_more_than_the_log_is_refused() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_level(pair).await?;
        pair.command_service().stop().await?;
        // As after a restore that nobody has noticed.
        let sql = pair.primary.sql().await?;
        sql.batch_execute(
            "ALTER TABLE parking_slot_events DISABLE TRIGGER ALL;
             DELETE FROM parking_slot_events WHERE position > 12",
        )
        .await?;

        let ahead = "command-service: the replica has settled position 17, and the log ends at 12: the primary is not the one that it copies\n";
        assert_refused(pair, &[], 1, ahead).await
    })
}

#[test]
fn without_a_part_the_exit_status_says_so() -> Result<()> {
    with_pair(async |pair| {
        let slots = fill(&pair.client()).await?;
        assert_level(pair).await?;
        let edit = "UPDATE parking_slots SET name = 'By hand' WHERE uuid = $1";
        pair.replica.sql().await?.execute(edit, &[&slots[1]]).await?;

        pair.links.relay_broker.cut().await;
        let found = verify(pair, &[]).await?;
        assert_eq!(found.kinds(), [("differs".to_owned(), Some(slots[1]))], "to look takes no broker");
        assert_refused(
            pair,
            &["--repair"],
            3,
            "command-service: the broker is down: Connection refused (os error 111)\n",
        )
        .await?;
        pair.links.relay_broker.restore()?;
        let nobody = "command-service: that replica has no queue: start its event-consumer first\n";
        assert_refused(pair, &["--repair", "--replica", "nobody"], 1, nobody).await?;
        pair.links.command_replica.cut().await;
        assert_refused(
            pair,
            &[],
            3,
            "command-service: the replica is down: Connection refused (os error 111)\n",
        )
        .await?;
        pair.links.command_replica.restore()?;
        pair.links.command_primary.cut().await;
        assert_refused(
            pair,
            &[],
            3,
            "command-service: the primary is down: Connection refused (os error 111)\n",
        )
        .await?;
        pair.links.command_primary.restore()?;
        for usage in
            [&["verify", "--replica", "NOBODY"][..], &["verify", "--wait-ms", "-1"], &["verify", "all"]]
        {
            Run::command_service(pair, usage)?.end().await?.expect(2)?;
        }
        Ok(())
    })
}

#[test]
fn a_dependency_that_says_nothing_is_down() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_level(pair).await?;

        pair.links.command_replica.blackhole();
        assert_refused(
            pair,
            &[],
            3,
            "command-service: the replica is down: the database did not answer in time\n",
        )
        .await?;
        pair.links.command_replica.restore()?;
        pair.links.command_primary.blackhole();
        assert_refused(
            pair,
            &[],
            3,
            "command-service: the primary is down: the database did not answer in time\n",
        )
        .await?;

        pair.links.command_primary.restore()?;
        Ok(())
    })
}

#[test]
fn without_a_consumer_nothing_is_said_to_be_healed() -> Result<()> {
    with_pair(async |pair| {
        let slots = fill(&pair.client()).await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let edit = "UPDATE parking_slots SET name = 'By hand' WHERE uuid = $1";
        pair.replica.sql().await?.execute(edit, &[&slots[1]]).await?;

        let healed = verify(pair, &["--repair"]).await?;

        assert_eq!((healed.status, healed.kinds()), (Some(1), vec![("differs".to_owned(), Some(slots[1]))]));
        assert_eq!(healed.differences[0]["healed"], json!(false));
        assert_eq!(healed.errors, "command-service: not healed: 1\n");
        // What waited in the queue heals it later, and the copies of it do no harm.
        pair.event_consumer().start().await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_write_model_or_a_log_that_is_broken_is_reported_and_not_healed() -> Result<()> {
    let broken = [
        ("UPDATE parking_slots SET name = 'By hand' WHERE uuid = $1", "write model", "another name"),
        ("UPDATE parking_slots SET version = 7 WHERE uuid = $1", "write model", "another version"),
        ("UPDATE parking_slots SET position = 16 WHERE uuid = $1", "write model", "another position"),
        ("UPDATE parking_slots SET updated_at = 'infinity' WHERE uuid = $1", "write model", "another time"),
        ("DELETE FROM parking_slots WHERE uuid = $1", "write model", "no row"),
    ];
    with_pair(async |pair| {
        let slots = fill(&pair.client()).await?;
        assert_level(pair).await?;
        // Nothing must be decided on what is broken.
        pair.command_service().stop().await?;
        for (sql, kind, reason) in broken {
            let mut primary = pair.primary.connect_as(stack::Role::Superuser).await?;
            primary
                .execute("CREATE TABLE kept AS SELECT * FROM parking_slots WHERE uuid = $1", &[&slots[1]])
                .await?;
            ensure!(primary.execute(sql, &[&slots[1]]).await? == 1, "nothing is broken: {sql}");

            let found = verify(pair, &[]).await?;
            let not_healed = verify(pair, &["--repair"]).await?;

            for verified in [found, not_healed] {
                assert_eq!(
                    (verified.status, verified.kinds()),
                    (Some(1), vec![(kind.to_owned(), Some(slots[1]))]),
                    "{reason}"
                );
            }
            let back = primary.transaction().await?;
            back.execute("DELETE FROM parking_slots WHERE uuid = $1", &[&slots[1]]).await?;
            back.batch_execute("INSERT INTO parking_slots SELECT * FROM kept; DROP TABLE kept").await?;
            back.commit().await?;
        }
        let invent = "INSERT INTO parking_slots VALUES ($1, 1, 17, now(), now(), 'blocked', 'Invented')";
        let invented = [Uuid::nil(), Uuid::max()];
        for uuid in &invented {
            pair.primary.sql().await?.execute(invent, &[uuid]).await?;
        }
        let found = verify(pair, &[]).await?;
        assert_eq!(found.kinds(), invented.map(|uuid| ("write model".to_owned(), Some(uuid))));
        Ok(())
    })
}

#[test]
fn an_event_that_breaks_the_rules_of_the_log_is_named() -> Result<()> {
    let broken = [
        ("DELETE FROM parking_slot_events WHERE position = 3", "gap", 4),
        (
            "UPDATE parking_slot_events SET committed_at = committed_at - interval '1 hour' WHERE position = 5",
            "time",
            5,
        ),
        ("UPDATE parking_slot_events SET version = 9 WHERE position = 17", "version", 17),
        ("UPDATE parking_slot_events SET created_at = '2020-01-01' WHERE position = 11", "version", 11),
    ];
    for (sql, flaw, position) in broken {
        with_pair(async |pair| {
            fill(&pair.client()).await?;
            assert_level(pair).await?;
            pair.command_service().stop().await?;
            let primary = pair.primary.sql().await?;
            primary.batch_execute("ALTER TABLE parking_slot_events DISABLE TRIGGER ALL").await?;
            ensure!(primary.execute(sql, &[]).await? == 1, "nothing is broken: {sql}");

            let found = verify(pair, &[]).await?;

            assert_eq!(found.status, Some(1), "{found:#?}");
            let flaws = found.differences.iter().filter(|line| line["kind"] == "log");
            let flaws: Vec<_> = flaws.map(|line| (line["flaw"].clone(), line["position"].clone())).collect();
            assert!(flaws.contains(&(json!(flaw), json!(position))), "{sql}: {found:#?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_replica_with_no_end_of_differences_is_left_to_a_rebuild() -> Result<()> {
    with_pair(async |pair| {
        fill(&pair.client()).await?;
        assert_right(pair).await?;
        let invent = "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
                      SELECT gen_random_uuid(), 1, now(), now(), 'available', 'Invented'
                      FROM generate_series(1, 100001)";
        pair.replica.sql().await?.execute(invent, &[]).await?;

        let endless = "command-service: more than 100000 differences: run event-consumer rebuild\n";
        assert_refused(pair, &["--repair"], 1, endless).await?;

        let left = "SELECT count(*) FROM parking_slots WHERE name = 'Invented'";
        let left: i64 = pair.replica.sql().await?.query_one(left, &[]).await?.try_get(0)?;
        assert_eq!(left, 100_001, "nothing was sent");
        Ok(())
    })
}

#[test]
fn the_second_of_two_replicas_is_compared_and_healed_by_its_own_name() -> Result<()> {
    let two = Shape { command_services: 2, event_consumers: 2, second_replica: true, ..Shape::default() };
    two.run(async |pair| {
        let slots = fill(&pair.client()).await?;
        assert_level(pair).await?;
        let second = pair.second_replica.as_ref().expect("the shape has one");
        let url = second.url_through(stack::Role::CommandServiceReader, second.server.port());
        let on_second = |arguments: &[&str]| {
            let arguments: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
            anyhow::Ok(Run::command_service(pair, &arguments)?.with("REPLICA_DATABASE_URL", Some(&url)))
        };
        ensure!(verified(on_second(&[])?).await?.status == Some(0), "it is not level");
        second.sql().await?.execute("DELETE FROM parking_slots WHERE uuid = $1", &[&slots[1]]).await?;

        let first = verify(pair, &[]).await?;
        let found = verified(on_second(&[])?).await?;
        let healed = verified(on_second(&["--repair", "--replica", "two"])?).await?;

        assert_eq!(first.status, Some(0), "the other one is another one");
        let expected = vec![("missing".to_owned(), Some(slots[1]))];
        assert_eq!((found.status, found.kinds()), (Some(1), expected.clone()));
        assert_eq!((healed.status, healed.kinds()), (Some(0), expected), "{healed:#?}");
        Ok(())
    })
}
