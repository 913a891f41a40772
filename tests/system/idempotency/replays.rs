use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use system_tests::with_pair;

use super::{SLOTS, change, check_once, check_replay, create, is_replayed};

#[test]
fn every_command_that_is_sent_again_is_answered_as_the_first_time_whatever_happened_since() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let names = json!([{ "name": "B 1", "status": "blocked" }, { "name": "B 2" }, { "name": "B 3" }]);
        let batch = async || {
            client.call_with_key(Method::POST, "/parking-slots/batch", Some(names.clone()), "b").await
        };
        let created = create(&client, "Slot", "c").await?;
        let uuid = created.clone().slot(201)?.uuid;
        let path = format!("{SLOTS}/{uuid}");
        let delete = async || client.call_with_key(Method::DELETE, &path, None, "d").await;
        let many = batch().await?.expect(201)?;
        let changed = change(&client, uuid, json!({ "status": "occupied" }), "p").await?.expect(200)?;
        let again = create(&client, "Slot", "c").await?;
        check_replay(&created, &again)?;
        client.change(uuid, json!({ "name": "Renamed", "status": "reserved" })).await?.expect(200)?;
        for item in many.body["items"].as_array().into_iter().flatten() {
            client.delete(serde_json::from_value(item["uuid"].clone())?).await?.expect(204)?;
        }
        let deleted = delete().await?.expect(204)?;

        let again = [
            create(&client, "Slot", "c").await?,
            batch().await?,
            change(&client, uuid, json!({ "status": "occupied" }), "p").await?,
            delete().await?,
        ];

        for (first, again) in [&created, &many, &changed, &deleted].into_iter().zip(&again) {
            assert!(!is_replayed(first));
            check_replay(first, again)?;
        }
        // Five creates of slots, two changes, and four deletes.
        check_once(pair, 4 + 2 + 4, 4).await?;
        Ok(())
    })
}

#[test]
fn a_key_is_known_after_a_crash_and_by_every_instance() -> Result<()> {
    let two = system_tests::Shape { command_services: 2, ..system_tests::Shape::default() };
    two.run(async |pair| {
        let [one, other] = &pair.command_services[..] else { anyhow::bail!("there are not two") };
        let created = create(&one.client(), "Slot", "key").await?.expect(201)?;

        let elsewhere = create(&other.client(), "Slot", "key").await?;
        one.kill()?;
        one.start().await?;
        pair.ready().await?;
        let afterwards = create(&one.client(), "Slot", "key").await?;

        check_replay(&created, &elsewhere)?;
        check_replay(&created, &afterwards)?;
        check_once(pair, 1, 1).await?;
        Ok(())
    })
}

#[test]
fn what_was_refused_keeps_no_key_and_is_decided_anew() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, gone) = (client.created("Slot").await?.uuid, client.created("Gone").await?.uuid);
        client.delete(gone).await?.expect(204)?;
        let path = format!("{SLOTS}/{slot}");
        let body = json!({ "name": "Changed" });

        // The same key on one request after the other, until one is carried out.
        assert_eq!(change(&client, gone, body.clone(), "key").await?.expect(404)?.problem(), "not-found");
        assert_eq!(create(&client, "", "key").await?.expect(422)?.problem(), "invalid-value");
        let late = {
            let headers = [("If-Match", "\"7\""), ("Idempotency-Key", "key")];
            let mut call = system_tests::Call::new("PATCH", path).json(body.to_string());
            for (name, value) in headers {
                call = call.header(name, value);
            }
            call.send(&pair.command_service().address()).await?
        };
        assert_eq!(late.expect(412)?.problem(), "version-mismatch");
        let changed = change(&client, slot, body.clone(), "key").await?.expect(200)?;
        let again = change(&client, slot, body, "key").await?;
        let reused = change(&client, gone, json!({}), "key").await?;

        assert!(!is_replayed(&changed), "nothing was carried out before it");
        check_replay(&changed, &again)?;
        assert_eq!(
            reused.expect(422)?.problem(),
            "idempotency-key-reused",
            "404 is no answer of this key now"
        );
        check_once(pair, 4, 1).await?;
        Ok(())
    })
}

#[test]
fn a_change_that_found_everything_in_order_does_not_undo_later_changes_when_it_is_sent_again() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot").await?;
        let free = json!({ "status": "available" });

        let unchanged = change(&client, slot.uuid, free.clone(), "key").await?;
        client.change(slot.uuid, json!({ "status": "occupied" })).await?.expect(200)?;
        let again = change(&client, slot.uuid, free, "key").await?;

        assert_eq!(unchanged.clone().slot(200)?, slot, "the answer is the slot as it was");
        check_replay(&unchanged, &again)?;
        let everything = check_once(pair, 2, 1).await?;
        assert_eq!(everything.primary[0].status, "occupied");
        Ok(())
    })
}

#[test]
fn keys_of_different_callers_of_one_slot_are_kept_apart() -> Result<()> {
    const CHANGES: usize = 40;
    with_pair(async |pair| {
        let client = pair.client();
        let uuid = client.created("Hot").await?.uuid;
        let send = async |number: usize| {
            let patch = json!({ "name": format!("Hot {number}") });
            change(&client, uuid, patch, &format!("key {number}").replace(' ', "-")).await?.expect(200)
        };

        let first = futures_util::future::try_join_all((0..CHANGES).map(&send)).await?;
        let again = futures_util::future::try_join_all((0..CHANGES).map(&send)).await?;

        for (first, again) in first.iter().zip(&again) {
            check_replay(first, again)?;
        }
        check_once(pair, 1 + CHANGES, CHANGES as i64).await?;
        Ok(())
    })
}
