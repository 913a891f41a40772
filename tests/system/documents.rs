//! The document of each row of the replica, with which reads answer: true after any write, by whomever.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_assert_eq},
    sample::select,
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    document,
    slot::{Slot, SlotStatus},
};
use system_tests::{Pair, assert_level, program::Run, with_pair};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::projection::{Stand, fail};

/// How often a row is edited by hand and read.
const EDITS: usize = 1_000;

/// Replicas with rows by hand, and the most rows of one.
const CASES: u32 = 60;
const ROWS_MAX: usize = 40;

/// A row that somebody writes by hand: any name that the table takes, and any times that a log can hold.
fn row() -> impl Strategy<Value = (u128, i64, i64, i64, &'static str, String)> {
    // From the year 1 to the year 9999, in microseconds.
    let micros = || -62_135_596_800_000_000_i64..253_402_207_200_000_000;
    let status = select(SlotStatus::ALL.map(SlotStatus::as_str).to_vec());
    let name = vec(any::<char>().prop_filter("PostgreSQL stores no NUL", |one| *one != '\0'), 1..=60);
    let name = name.prop_map(|chars| chars.into_iter().collect());
    (any::<u128>(), 1..=i64::MAX, micros(), micros(), status, name)
}

const WRITE: &str = "
    INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
    VALUES ($1, $2::bigint, to_timestamp(0) + $3::bigint * interval '1 us', to_timestamp(0) + $4::bigint * interval '1 us', $5::text, $6::text)
    ON CONFLICT DO NOTHING";

const ROWS: &str = "SELECT uuid, version, created_at, updated_at, status, name, document FROM parking_slots";

#[test]
fn a_document_made_by_the_replica_is_the_one_that_the_services_make() -> Result<()> {
    let stand = Stand::new()?;

    stand.for_each(CASES, &vec(row(), 1..ROWS_MAX), async |rows| {
        let sql = stand.replica.sql().await.map_err(fail)?;
        for (uuid, version, created_at, updated_at, status, name) in rows {
            let uuid = Uuid::from_u128(uuid);
            let columns: [&(dyn ToSql + Sync); 6] =
                [&uuid, &version, &created_at, &updated_at, &status, &name];
            sql.execute(WRITE, &columns).await.map_err(|error| fail(error.into()))?;
        }

        for row in sql.query(ROWS, &[]).await.map_err(|error| fail(error.into()))? {
            let slot = Slot {
                uuid: row.get("uuid"),
                version: row.get("version"),
                status: row.get("status"),
                name: row.get("name"),
            };
            let expected = document::encode(&slot, row.get("created_at"), row.get("updated_at"));
            prop_assert_eq!(row.get::<_, String>("document"), expected);
        }
        Ok(())
    })
}

#[test]
fn an_edit_by_hand_is_in_the_next_read_each_of_a_thousand_times() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;
        let sql = pair.replica.sql().await?;
        let edit = sql.prepare("UPDATE parking_slots SET name = $2::text WHERE uuid = $1").await?;
        for number in 0..EDITS {
            let name = format!("Edit \"{number}\" \\ é");
            ensure!(sql.execute(&edit, &[&slot.uuid, &name]).await? == 1, "nothing was edited");

            let (page, one) = (client.list("?limit=1").await?, client.get(slot.uuid).await?);

            let (page, one) = (page.expect(200)?.body, one.expect(200)?.body);
            assert_eq!(
                (&page["items"][0]["name"], &one["name"]),
                (&json!(name), &json!(name)),
                "edit {number}"
            );
        }
        Ok(())
    })
}

#[test]
fn an_edit_of_a_document_alone_changes_no_answer() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        let before = assert_level(pair).await?;

        let edits = ["document = '{}'", "document = NULL", "document = NULL, name = name"];
        for edit in edits {
            pair.replica.sql().await?.batch_execute(&format!("UPDATE parking_slots SET {edit}")).await?;

            let shown = client.get(slot.uuid).await?.slot(200)?;

            assert_eq!(shown.name, "Slot 1", "{edit}");
            assert_eq!(assert_level(pair).await?.replica, before.replica, "{edit}");
        }
        Ok(())
    })
}

#[test]
fn a_false_document_is_replaced_when_its_event_comes_again() -> Result<()> {
    let log = crate::projection::log_of(&[(0, crate::projection::Step::Create)]);
    let stand = Stand::new()?;
    stand.runtime.block_on(async {
        stand.apply(&log).await?;
        let sql = stand.replica.sql().await?;
        let documents = "SELECT document FROM parking_slots";
        let before: String = sql.query_one(documents, &[]).await?.try_get(0)?;
        sql.batch_execute(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE parking_slots SET document = '{}'; COMMIT",
        )
        .await?;

        stand.apply(&log).await?;

        assert_eq!(sql.query_one(documents, &[]).await?.try_get::<_, String>(0)?, before);
        Ok(())
    })
}

/// Makes the replica as it was before documents.
const BEFORE_DOCUMENTS: &str = "
    BEGIN;
    DROP TRIGGER zz_document_on_insert ON parking_slots;
    DROP TRIGGER zz_document_on_update ON parking_slots;
    ALTER TABLE parking_slots DROP COLUMN document;
    DROP FUNCTION write_slot_document;
    DROP FUNCTION slot_document;
    DELETE FROM refinery_schema_history WHERE version >= 5;
    COMMIT";

/// More than two batches of the migration.
const OLD_SLOTS: usize = 5_000;

/// How long the migration may take.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_replica_without_documents_gets_them_while_it_is_read_and_written() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        fill(pair, OLD_SLOTS).await?;
        assert_level(pair).await?;
        pair.replica.sql().await?.batch_execute(BEFORE_DOCUMENTS).await?;
        let slot = client.created("Created before the migration").await?;
        client.list("?limit=1").await?.expect(503)?;

        let migrating = Run::event_consumer(pair, &["migrate"])?.end();
        tokio::pin!(migrating);
        let mut served = 0;
        let ended = timeout(MIGRATION_LIMIT, async {
            loop {
                tokio::select! {
                    ended = &mut migrating => break ended,
                    read = read_and_write(pair, slot.uuid) => served += usize::from(read?),
                }
            }
        });

        ended.await??.expect(0)?;
        read_and_write(pair, slot.uuid).await?;
        assert_level(pair).await?;
        ensure!(served > 0, "no read was answered during the migration");
        pair.ready().await
    })
}

async fn fill(pair: &Pair, slots: usize) -> Result<()> {
    let names: Vec<Value> = (0..1_000).map(|number| json!({ "name": format!("Bay \"{number}\"") })).collect();
    for _ in 0..slots / names.len() {
        let client = pair.client();
        client.call(Method::POST, "/parking-slots/batch", Some(json!(names))).await?.expect(201)?;
    }
    Ok(())
}

/// Changes a slot, and reads a page. Whether the read was answered: until its migration, the replica counts as down.
async fn read_and_write(pair: &Pair, slot: Uuid) -> Result<bool> {
    let client = pair.client();
    client.change(slot, json!({ "name": Uuid::now_v7().to_string() })).await?.slot(200)?;
    let page = client.list("?limit=1000").await?;
    if page.status == 503 {
        return Ok(false);
    }
    let page = page.expect(200)?.body;
    let items = page["items"].as_array().context("no items")?;
    assert_eq!(items.len(), 1_000);
    for (number, item) in items.iter().enumerate() {
        assert_eq!(item["name"], json!(format!("Bay \"{number}\"")));
    }
    Ok(true)
}
