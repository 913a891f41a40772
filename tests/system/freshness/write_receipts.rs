//! Every command that was carried out gives a receipt, and so does one that found the slot at another version.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Client, Reply, Slot, assert_level, with_pair};
use uuid::Uuid;

use super::{created, created_together, write_receipt};

/// What `GET /receipts/..` says.
async fn state(client: &Client, receipt: &str) -> Result<Value> {
    Ok(client.get_path(&format!("/receipts/{receipt}")).await?.expect(200)?.body)
}

fn assert_of(state: &Value, slot: &Slot, position: i64) -> Result<()> {
    let committed_at: jiff::Timestamp = state["committed_at"].as_str().context("no committed_at")?.parse()?;
    assert_eq!(committed_at, slot.updated_at, "commit times are what slots show");
    let expected = json!({
        "position": position, "events": 1, "uuid": slot.uuid, "version": slot.version, "state": "applied",
        "committed_at": state["committed_at"],
    });
    assert_eq!(state, &expected);
    Ok(())
}

fn assert_opaque(reply: &Reply) -> Result<String> {
    let receipt = write_receipt(reply)?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    ensure!((1..=200).contains(&receipt.len()) && receipt.bytes().all(safe), "{receipt}");
    Ok(receipt)
}

#[test]
fn every_command_gives_the_receipt_of_its_version() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let path = |slot: &Slot| format!("/parking-slots/{}", slot.uuid);

        let creating = client.create("Slot 1").await?;
        let made = assert_opaque(&creating)?;
        let first = creating.slot(201)?;
        let changing = client.change(first.uuid, json!({ "status": "reserved" })).await?;
        let changed = assert_opaque(&changing)?;
        let second = changing.slot(200)?;
        created(&client, "Another").await?;
        let mut unchanged = Vec::new();
        for patch in [json!({}), json!({ "status": "reserved" }), json!({ "name": " Slot 1 " })] {
            let reply = client.change(first.uuid, patch).await?;
            unchanged.push(assert_opaque(&reply)?);
            assert_eq!(reply.slot(200)?, second, "nothing changed");
        }
        for method in [Method::PATCH, Method::DELETE] {
            let body = (method == Method::PATCH).then(|| json!({ "status": "blocked" }));
            let refused = client.call_if_match(method, &path(&first), body, "\"1\"").await?.expect(412)?;
            assert_eq!(refused.body["version"], 2, "412 says where the slot is");
            unchanged.push(assert_opaque(&refused)?);
        }
        let removing = client.delete(first.uuid).await?.expect(204)?;
        let removed = assert_opaque(&removing)?;
        assert_level(pair).await?;

        assert_of(&state(&client, &made).await?, &first, 1)?;
        assert_of(&state(&client, &changed).await?, &second, 2)?;
        for receipt in &unchanged {
            assert_of(&state(&client, receipt).await?, &second, 2)?;
        }
        let state = state(&client, &removed).await?;
        let expected = json!({
            "position": 4, "events": 1, "uuid": first.uuid, "version": 3, "state": "applied",
            "committed_at": state["committed_at"],
        });
        assert_eq!(state, expected);
        Ok(())
    })
}

#[test]
fn a_batch_gives_one_receipt_for_all_of_its_slots() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        created(&client, "Before").await?;
        let names: Vec<String> = (0..300).map(|number| format!("Slot {number}")).collect();
        let body: Value = names.iter().map(|name| json!({ "name": name })).collect();

        let reply = client.call(Method::POST, "/parking-slots/batch", Some(body)).await?.expect(201)?;

        let receipt = assert_opaque(&reply)?;
        assert_eq!(reply.body["receipt"], receipt.as_str(), "the same in header and body");
        let listed =
            client.list(&format!("?limit=1000&receipt={receipt}&wait_ms=10000")).await?.expect(200)?;
        let listed: Vec<Slot> = serde_json::from_value(listed.body["items"].clone())?;
        let made: Vec<Slot> = serde_json::from_value(reply.body["items"].clone())?;
        assert_eq!(listed[1..], made, "all 300 are there");
        let state = state(&client, &receipt).await?;
        assert_eq!((&state["events"], &state["state"]), (&json!(300), &json!("applied")));
        assert_eq!(state["position"], 301, "that of its last event");
        ensure!(state.get("uuid").is_none() && state.get("version").is_none(), "of many slots: {state}");
        Ok(())
    })
}

#[test]
fn commands_that_were_not_carried_out_give_no_receipt() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let nowhere = Uuid::now_v7();

        let refused = [
            client.create("").await?.expect(422)?,
            client.change(nowhere, json!({ "status": "blocked" })).await?.expect(404)?,
            client.delete(nowhere).await?.expect(404)?,
            client
                .call(Method::POST, "/parking-slots/batch", Some(json!([{ "name": "" }])))
                .await?
                .expect(422)?,
        ];

        for reply in refused {
            assert_eq!(reply.header("write-receipt"), None, "{}", reply.body);
        }
        Ok(())
    })
}

#[test]
fn a_batch_of_one_is_told_of_like_a_single_slot() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();

        let (slots, receipt) = created_together(&client, &["Only"]).await?;
        assert_level(pair).await?;

        assert_of(&state(&client, &receipt).await?, &slots[0], 1)
    })
}
