//! What was dead-lettered is told from what is lost.

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{RECOVERY, assert_level, eventually, program::Run, with_pair};

use super::{assert_right, verify};
use crate::dead_letters::by_hand::{letters_are, run};

#[test]
fn what_an_open_dead_letter_keeps_back_is_set_aside_until_it_is_retried() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let changed = client.created("Slot 1").await?;
        assert_level(pair).await?;
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let created = client.created("culprit 1").await?;
        client.change(changed.uuid, json!({ "name": "culprit 2" })).await?.slot(200)?;
        letters_are(pair, 2).await?;

        let found = verify(pair, &[]).await?;
        let not_healed = verify(pair, &["--repair"]).await?;
        pair.replica.accept_culprits().await?;
        run(pair, &["retry", "--all"]).await?.expect(0)?;

        let mut expected = [
            ("dead-lettered".to_owned(), Some(changed.uuid)),
            ("dead-lettered".to_owned(), Some(created.uuid)),
        ];
        expected.sort();
        for verified in [&found, &not_healed] {
            assert_eq!(
                (verified.status, verified.kinds().as_slice()),
                (Some(1), &expected[..]),
                "{verified:#?}"
            );
            for line in &verified.differences {
                let position = if line["uuid"] == json!(created.uuid) { 2 } else { 3 };
                assert_eq!(
                    (&line["position"], &line["dead_letter"]),
                    (&json!(position), &json!(position - 1))
                );
            }
        }
        assert_eq!(not_healed.total["healed"], json!(0), "what the replica refuses is not sent to it again");
        assert_right(pair).await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_slot_that_an_open_letter_does_not_keep_back_any_more_is_right() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let slot = client.created("culprit").await?;
        letters_are(pair, 1).await?;
        client.change(slot.uuid, json!({ "name": "Renamed" })).await?.slot(200)?;

        // The dead letter is still open, and a later event has taken its place.
        assert_right(pair).await?;

        // A row that is wrong is wrong, dead letter or not.
        let edit = "UPDATE parking_slots SET status = 'blocked' WHERE uuid = $1";
        ensure!(pair.replica.sql().await?.execute(edit, &[&slot.uuid]).await? == 1, "nothing was edited");
        let healed = verify(pair, &["--repair"]).await?;
        assert_eq!((healed.status, healed.kinds()), (Some(0), vec![("differs".to_owned(), Some(slot.uuid))]));
        pair.replica.accept_culprits().await?;
        run(pair, &["retry", "1"]).await?.expect(0)?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn an_event_that_was_set_aside_and_sent_again_after_the_fix_is_not_missing() -> Result<()> {
    with_pair(async |pair| {
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        pair.client().created("culprit").await?;
        letters_are(pair, 1).await?;
        pair.replica.accept_culprits().await?;
        let replay = ["replay", "--from", "1", "--to", "1"];
        Run::command_service(pair, &replay)?.end().await?.expect(0)?;

        eventually(RECOVERY, "it is applied", async || {
            // Its dead letter is open all the same.
            assert_right(pair).await
        })
        .await?;

        letters_are(pair, 1).await
    })
}

#[test]
fn an_event_that_was_discarded_is_missing_and_comes_back_by_repair() -> Result<()> {
    with_pair(async |pair| {
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let slot = pair.client().created("culprit").await?;
        letters_are(pair, 1).await?;
        run(pair, &["discard", "1"]).await?.expect(0)?;
        pair.replica.accept_culprits().await?;

        let found = verify(pair, &[]).await?;
        let healed = verify(pair, &["--repair"]).await?;

        let expected = vec![("missing".to_owned(), Some(slot.uuid))];
        assert_eq!((found.status, found.kinds()), (Some(1), expected.clone()));
        assert_eq!((healed.status, healed.kinds()), (Some(0), expected));
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn what_the_replica_refuses_keeps_nothing_else_from_being_healed() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let culprit = client.created("culprit").await?;
        let slots = crate::outages::create(&client, 20).await?;
        assert_level(pair).await?;
        // Only now nobody may write it any more.
        let sql = pair.replica.sql().await?;
        sql.execute("DELETE FROM parking_slots", &[]).await?;
        pair.replica.refuse_culprits("parking_slots", "23514").await?;

        let partly = verify(pair, &["--repair"]).await?;

        let not_healed: Vec<_> = partly.differences.iter().filter(|line| line["healed"] == false).collect();
        assert_eq!((partly.status, not_healed.len()), (Some(1), 1), "{partly:#?}");
        assert_eq!(not_healed[0]["uuid"], json!(culprit.uuid));
        assert_eq!(partly.total["healed"], json!(slots.len()));
        let settled =
            "SELECT count(*) FROM dead_letters WHERE position IS NOT NULL OR type <> 'parking.repair'";
        let odd: i64 = sql.query_one(settled, &[]).await?.try_get(0)?;
        assert_eq!(odd, 0, "a repair settles no position");
        // The dead letter of the repair, retried after the fix, heals it too.
        pair.replica.accept_culprits().await?;
        run(pair, &["retry", "--all"]).await?.expect(0)?;
        assert_right(pair).await?;
        assert_level(pair).await?;
        Ok(())
    })
}
