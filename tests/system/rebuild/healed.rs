//! What a rebuild heals.

use anyhow::Result;
use serde_json::json;
use system_tests::{assert_level, program::Run, with_pair};

use super::{assert_nothing_left, fill, rebuild, rebuilt, slots};

#[test]
fn damage_by_hand_is_healed_by_a_rebuild() -> Result<()> {
    let damages = [
        ("UPDATE parking_slots SET name = 'Edited', version = 9 WHERE name = 'Kept 1'", "an edited row"),
        ("DELETE FROM parking_slots WHERE name = 'Kept 2'", "a deleted row"),
        (
            "UPDATE parking_slots SET document = '{}', updated_at = updated_at + interval '1 us'
             WHERE name = 'Kept 4'",
            "a false document",
        ),
        (
            "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
             VALUES (gen_random_uuid(), 1, now(), now(), 'available', 'Invented')",
            "an invented row",
        ),
        ("INSERT INTO parking_slot_tombstones VALUES (gen_random_uuid(), 1, now())", "an invented tombstone"),
        (
            "INSERT INTO parking_slot_tombstones SELECT uuid, 99, now() FROM parking_slots WHERE name = 'Kept 3'",
            "a tombstone of a slot that is there",
        ),
        ("UPDATE parking_slot_summary SET slots = slots - 7", "a wrong summary"),
        ("DROP INDEX parking_slots_creation_order", "an index dropped"),
        ("DROP TRIGGER summary_on_delete ON parking_slots", "a trigger dropped"),
        ("DROP TRIGGER zz_document_on_update ON parking_slots", "another trigger dropped"),
        ("UPDATE replication_status SET applied = '{[0,7),[9,20)}'", "positions forgotten"),
    ];
    with_pair(async |pair| {
        fill(pair).await?;
        pair.event_consumer().stop().await?;
        let sql = pair.replica.sql().await?;
        for (damage, _) in damages {
            sql.batch_execute(damage).await?;
        }

        let done = rebuilt(rebuild(pair)?.end().await?)?;

        assert_eq!((done["slots"].as_u64(), &done["replica"]), (Some(slots() as u64), &json!("main")));
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        let index = "SELECT to_regclass('parking_slots_creation_order') IS NOT NULL";
        assert!(sql.query_one(index, &[]).await?.try_get::<_, bool>(0)?, "{:?}", damages[7].1);
        pair.event_consumer().start().await?;
        let client = pair.client();
        let later = client.created("Later").await?;
        client.delete(later.uuid).await?.expect(204)?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_rebuild_says_what_it_has_done() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slots = [client.created("Slot 1").await?, client.created("Slot 2").await?];
        client.delete(slots[0].uuid).await?.expect(204)?;
        assert_level(pair).await?;

        let plain = system_tests::program::Run::event_consumer(pair, &["rebuild"])?.end().await?.expect(0)?;
        let object = rebuilt(rebuild(pair)?.end().await?)?;

        let line = plain.text()?;
        assert!(line.starts_with("replica main was rebuilt in "), "{line}");
        assert!(line.ends_with(" s: 1 slot from 3 events; no dead letters\n"), "{line}");
        let fields = ["replica", "applied_through", "slots", "dead_letters"].map(|name| object[name].clone());
        assert_eq!(json!(fields), json!(["main", 3, 1, 0]));
        assert!(object["duration_ms"].is_u64(), "{object}");
        Ok(())
    })
}

#[test]
fn claims_beyond_the_log_are_found_by_verify_and_healed_by_a_rebuild() -> Result<()> {
    let claims = [
        (
            "applied = applied + '{[1000000,1000001)}'::int8multirange",
            "it claims position 1000000, and the log ends at",
        ),
        ("as_of = '2099-01-01 UTC'", "it claims to be complete as of 2099-01-01T00:00:00.000000Z"),
    ];
    with_pair(async |pair| {
        fill(pair).await?;
        let sql = pair.replica.sql().await?;
        for (claim, words) in claims {
            sql.batch_execute(&format!("UPDATE replication_status SET {claim}")).await?;

            let found = Run::command_service(pair, &["verify"])?.end().await?.expect(1)?;
            let healed = Run::command_service(pair, &["verify", "--repair"])?.end().await?.expect(1)?;
            rebuilt(rebuild(pair)?.end().await?)?;
            let after = Run::command_service(pair, &["verify"])?.end().await?.expect(0)?;

            assert!(found.text()?.contains(&format!("status: {words}")), "{}", found.text()?);
            assert!(healed.text()?.contains("not healed: status: "), "{}", healed.text()?);
            assert!(after.text()?.ends_with("no differences\n"), "{}", after.text()?);
            let as_of = "SELECT as_of <= clock_timestamp() FROM replication_status";
            assert!(sql.query_one(as_of, &[]).await?.try_get::<_, bool>(0)?, "{claim}");
            assert_level(pair).await?;
            assert_nothing_left(pair).await?;
        }
        pair.client().created("Later").await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_replica_that_claims_everything_is_healed_by_a_rebuild() -> Result<()> {
    with_pair(async |pair| {
        fill(pair).await?;
        let sql = pair.replica.sql().await?;
        sql.batch_execute("UPDATE replication_status SET applied = '{[0,1000000)}'").await?;

        Run::command_service(pair, &["verify"])?.end().await?.expect(1)?;
        rebuilt(rebuild(pair)?.end().await?)?;

        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.client().created("Later").await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
