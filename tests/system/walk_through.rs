//! The way of a slot from the call to the list, as somebody sees it who looks into both databases.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{Pair, RECOVERY, Slot, assert_level, eventually, with_pair};
use uuid::Uuid;

use crate::command_line::run_command;

#[test]
fn a_slot_is_created_twice_seen_on_both_sides_and_edited_by_hand_on_one() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();

        let by_http = client.created("Slot 1").await?;
        let printed = run_command(pair, &["create_parking_slot", "--name", "Slot 1"]).await?;

        let by_command = uuid_in(&printed)?;
        assert_eq!(
            printed,
            format!("uuid:   {by_command}\nname:   Slot 1\nstatus: available\n"),
            "what the command line prints is promised to the letter"
        );
        assert_level(pair).await?;
        for uuid in [by_http.uuid, by_command] {
            assert_eq!(name_on_primary(pair, uuid).await?, "Slot 1");
            assert_eq!(name_on_replica(pair, uuid).await?, "Slot 1");
        }

        let edit = "UPDATE parking_slots SET name = 'Edited by hand' WHERE uuid = $1";
        let edited = pair.replica.sql().await?.execute(edit, &[&by_http.uuid]).await?;

        assert_eq!(edited, 1, "one row was edited");
        let listed = client.list_all().await?;
        let name = |uuid| listed.iter().find(|slot| slot.uuid == uuid).map(|slot| slot.name.as_str());
        assert_eq!(
            (name(by_http.uuid), name(by_command)),
            (Some("Edited by hand"), Some("Slot 1")),
            "the list comes from the replica"
        );
        assert_eq!(
            name_on_primary(pair, by_http.uuid).await?,
            "Slot 1",
            "the primary knows nothing of the edit"
        );
        Ok(())
    })
}

#[test]
fn a_change_and_a_delete_reach_the_list() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (kept, removed) = (client.created("Kept").await?, client.created("Removed").await?);

        let patch = json!({ "name": "Renamed", "status": "occupied" });
        let changed = client.change(kept.uuid, patch).await?.slot(200)?;
        client.delete(removed.uuid).await?.expect(204)?;

        assert_eq!(
            (changed.version, changed.name.as_str(), changed.status.as_str()),
            (2, "Renamed", "occupied")
        );
        assert_level(pair).await?;
        assert_eq!(client.get(kept.uuid).await?.slot(200)?, changed);
        assert_eq!(client.list_all().await?, [changed]);
        client.get(removed.uuid).await?.expect(404)?;
        client.delete(removed.uuid).await?.expect(404)?;
        let summary = client.summary().await?.expect(200)?.body;
        let by_status = json!({ "available": 0, "reserved": 0, "occupied": 1, "blocked": 0 });
        assert_eq!(summary, json!({ "total": 1, "by_status": by_status }));
        Ok(())
    })
}

#[test]
fn the_list_shows_every_slot_once_in_creation_order_page_by_page() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let mut created = Vec::new();
        for number in 0..25 {
            created.push(client.created(&format!("Slot {number}")).await?);
        }
        assert_level(pair).await?;

        let mut listed: Vec<Slot> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = client.list(&format!("?limit=7{cursor}")).await?.expect(200)?.body;
            let items = page["items"].as_array().context("no items")?;
            ensure!((1..=7).contains(&items.len()), "a page of {} slots", items.len());
            listed.extend(serde_json::from_value::<Vec<Slot>>(page["items"].clone())?);
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }

        assert_eq!(listed, created, "25 slots, each once, in the order of their commits");
        Ok(())
    })
}

#[test]
fn the_command_line_lists_and_shows_what_http_does() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;

        let list = run_command(pair, &["parking_slot_list"]).await?;
        let details = run_command(pair, &["parking_slot_details", &slot.uuid.to_string(), "--json"]).await?;

        let line: serde_json::Value = serde_json::from_str(&list).context("one line of JSON")?;
        let expected = json!({ "uuid": slot.uuid, "name": "Slot 1", "status": "available", "version": 1 });
        assert_eq!(line, expected);
        let details: serde_json::Value = serde_json::from_str(&details)?;
        assert_eq!((&details["uuid"], &details["version"]), (&expected["uuid"], &expected["version"]));
        Ok(())
    })
}

#[test]
fn an_update_made_by_hand_is_healed_by_the_next_change_of_the_slot() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;
        let edit = "UPDATE parking_slots SET name = 'Edited', status = 'blocked' WHERE uuid = $1";
        pair.replica.sql().await?.execute(edit, &[&slot.uuid]).await?;
        let blocked = async || -> Result<_> {
            let summary = client.summary().await?.expect(200)?.body;
            Ok(summary["by_status"]["blocked"].clone())
        };
        eventually(RECOVERY, "the summary counts the edit", async || {
            ensure!(blocked().await? == 1, "it does not");
            Ok(())
        })
        .await?;

        client.change(slot.uuid, json!({ "status": "reserved" })).await?.slot(200)?;

        assert_level(pair).await?;
        assert_eq!(blocked().await?, 0, "the edit is gone from the summary too");
        Ok(())
    })
}

fn uuid_in(printed: &str) -> Result<Uuid> {
    let line = printed.lines().next().context("nothing was printed")?;
    Ok(line.strip_prefix("uuid:   ").context("no uuid in the first line")?.parse()?)
}

async fn name_on_primary(pair: &Pair, uuid: Uuid) -> Result<String> {
    name_in(pair.primary.sql().await?.as_ref(), uuid).await
}

async fn name_on_replica(pair: &Pair, uuid: Uuid) -> Result<String> {
    name_in(pair.replica.sql().await?.as_ref(), uuid).await
}

async fn name_in(database: &tokio_postgres::Client, uuid: Uuid) -> Result<String> {
    let row = database.query_one("SELECT name FROM parking_slots WHERE uuid = $1", &[&uuid]).await?;
    Ok(row.try_get(0)?)
}
