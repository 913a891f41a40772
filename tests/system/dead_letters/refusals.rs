//! What the replica refuses again and again, whatever it calls the reason: only the culprit is dead-lettered.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::{Pair, RECOVERY, assert_level, eventually, level::Everything, with_pair};

use super::{
    BATCH,
    by_hand::{letters_are, listed, run},
    letters, publish_as_stranger,
};

/// Refuses rows of `table` for which `condition` holds, with this SQLSTATE.
async fn refuse(pair: &Pair, table: &str, condition: &str, sqlstate: &str) -> Result<()> {
    let sql = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}';
         END
         $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table}
             FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse();"
    );
    Ok(pair.replica.sql().await?.batch_execute(&sql).await?)
}

async fn accept(pair: &Pair) -> Result<()> {
    Ok(pair.replica.sql().await?.batch_execute("DROP FUNCTION refuse() CASCADE").await?)
}

async fn applied(pair: &Pair) -> Result<String> {
    Ok(Everything::read(&pair.primary, &pair.replica).await?.status.applied)
}

async fn applied_is(pair: &Pair, expected: &str) -> Result<()> {
    eventually(RECOVERY, "positions are settled", async || {
        let applied = applied(pair).await?;
        ensure!(applied == expected, "applied is {applied}");
        Ok(())
    })
    .await
}

/// Waits until `/readyz` of the consumer says this of a dependency.
async fn consumer_says(pair: &Pair, dependency: &str, part: &str) -> Result<()> {
    let consumer = pair.event_consumer().client();
    eventually(RECOVERY, &format!("the consumer says {part:?}"), async || {
        let body = consumer.readyz().await?.body;
        let detail = body["dependencies"][dependency]["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(part), "it says {body}");
        Ok(())
    })
    .await
}

#[test]
fn equal_messages_in_one_take_are_one_letter_and_stop_nothing() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        // The consumer takes the first message alone, and all the others together.
        let hold = pair.replica.hold_status().await?;
        publish_as_stranger(&channel, BATCH, b"the first").await?;
        for _ in 0..3 {
            publish_as_stranger(&channel, BATCH, b"the same").await?;
        }
        pair.client().created("After").await?;
        hold.release().await?;

        letters_are(pair, 2).await?;
        applied_is(pair, "{[0,2)}").await?;
        for letter in listed(pair).await? {
            run(pair, &["discard", &letter["id"].to_string()]).await?.expect(0)?;
        }
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_refusal_with_any_sqlstate_dead_letters_its_culprit_alone() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let mut positions = 0;
        for sqlstate in ["21000", "P0001", "XX000", "54000", "0A000"] {
            refuse(pair, "parking_slots", "NEW.name LIKE 'culprit%'", sqlstate).await?;
            let names = ["innocent", "culprit", "innocent", "culprit", "innocent"];
            let slots: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();

            client
                .call(reqwest::Method::POST, "/parking-slots/batch", Some(json!(slots)))
                .await?
                .expect(201)?;

            positions += names.len();
            applied_is(pair, &format!("{{[0,{})}}", positions + 1)).await?;
            let found = listed(pair).await?;
            assert_eq!(found.len(), 2, "{sqlstate}: the culprits alone: {found:?}");
            let reason = format!("{sqlstate}: refused");
            assert!(found.iter().all(|letter| letter["reason"] == reason.as_str()), "{found:?}");
            // It is refused again, and stays.
            run(pair, &["retry", "--all"]).await?.expect(1)?;
            accept(pair).await?;
            run(pair, &["retry", "--all"]).await?.expect(0)?;
            assert_level(pair).await?;
        }
        pair.ready().await
    })
}

#[test]
fn what_refuses_every_event_is_the_replicas_fault_until_it_is_removed() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        for (number, sqlstate) in ["P0001", "23514", "21000"].into_iter().enumerate() {
            refuse(pair, "parking_slots", "true", sqlstate).await?;
            client.created(&format!("Slot {number}")).await?;

            consumer_says(pair, "replica", "remove the constraint or trigger that does").await?;

            assert_eq!(letters(pair).await?, 0, "{sqlstate}: no event is to blame");
            assert_eq!(applied(pair).await?, format!("{{[0,{})}}", number + 1), "{sqlstate}");
            // What is advised helps.
            accept(pair).await?;
            assert_level(pair).await?;
            pair.ready().await?;
        }
        Ok(())
    })
}

#[test]
fn a_privilege_that_is_missing_is_named_and_holds_everything_until_it_is_granted() -> Result<()> {
    with_pair(async |pair| {
        let sql = pair.replica.sql().await?;
        sql.batch_execute("REVOKE INSERT ON parking_slots FROM event_consumer").await?;
        pair.client().created("Slot 1").await?;

        consumer_says(pair, "replica", "grant event-consumer its privileges").await?;

        assert_eq!(letters(pair).await?, 0);
        sql.batch_execute("GRANT INSERT ON parking_slots TO event_consumer").await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

#[test]
fn a_dead_letter_that_the_replica_refuses_is_stored_in_short() -> Result<()> {
    with_pair(async |pair| {
        refuse_large_letters_of_culprits(pair).await?;

        pair.client().created("culprit").await?;
        pair.client().created("innocent").await?;

        applied_is(pair, "{[0,3)}").await?;
        let found = listed(pair).await?;
        assert_eq!((found.len(), &found[0]["position"]), (1, &json!(1)), "{found:?}");
        let reason = found[0]["reason"].as_str().context("no reason")?;
        assert_eq!(reason, "P0001: refused; the replica refused the dead letter: P0001: refused");
        let id = found[0]["id"].to_string();
        let shown = run(pair, &["show", &id]).await?.expect(0)?;
        assert!(shown.text()?.contains("body:       the first 0 of "), "{}", shown.text()?);
        // It cannot be applied again from what is stored, and says so.
        accept(pair).await?;
        let retried = run(pair, &["retry", &id]).await?.expect(1)?;
        assert!(retried.text()?.contains("command-service replay"), "{}", retried.text()?);
        Ok(())
    })
}

/// Refuses slots of culprits, and each letter that has a body.
async fn refuse_large_letters_of_culprits(pair: &Pair) -> Result<()> {
    refuse(pair, "parking_slots", "NEW.name LIKE 'culprit%'", "P0001").await?;
    let letters = "CREATE TRIGGER refuse BEFORE INSERT ON dead_letters
                   FOR EACH ROW WHEN (NEW.body <> '') EXECUTE FUNCTION refuse()";
    Ok(pair.replica.sql().await?.batch_execute(letters).await?)
}

#[test]
fn what_cannot_be_dead_lettered_stays_missing_and_holds_up_nothing_else() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_connection, channel) = pair.broker.channel().await?;
        refuse(pair, "parking_slots", "NEW.name LIKE 'culprit%'", "P0001").await?;
        let all =
            "CREATE TRIGGER refuse BEFORE INSERT ON dead_letters FOR EACH ROW EXECUTE FUNCTION refuse()";
        pair.replica.sql().await?.batch_execute(all).await?;

        client.created("culprit").await?;
        publish_as_stranger(&channel, BATCH, b"not JSON").await?;
        let after = client.created("innocent").await?;

        eventually(RECOVERY, "what comes after is applied", async || {
            let applied = applied(pair).await?;
            ensure!(applied == "{[0,1),[2,3)}", "applied is {applied}");
            Ok(())
        })
        .await?;
        consumer_says(pair, "dead_letters", "no room for further dead letters").await?;
        assert_eq!(letters(pair).await?, 0);
        let ready = pair.event_consumer().client().readyz().await?.expect(200)?;
        assert_eq!(ready.body["status"], "degraded", "everything else goes on");

        // Letters are taken again: the event comes again from the log, and its position is settled.
        pair.replica.sql().await?.batch_execute("DROP TRIGGER refuse ON dead_letters").await?;
        applied_is(pair, "{[0,3)}").await?;
        let found: Vec<Value> = listed(pair).await?;
        assert_eq!(found.iter().map(|letter| letter["position"].clone()).collect::<Vec<_>>(), [json!(1)]);
        pair.ready().await?;
        accept(pair).await?;
        run(pair, &["retry", "--all"]).await?.expect(0)?;
        assert_level(pair).await?;
        assert_eq!(client.get(after.uuid).await?.slot(200)?, after);
        Ok(())
    })
}

#[test]
fn a_large_body_is_stored_in_part_and_says_so() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        let body = vec![b'x'; 3 * 1024 * 1024];
        let mut other = body.clone();
        other.push(b'y');

        for body in [&body, &other, &body] {
            publish_as_stranger(&channel, BATCH, body).await?;
        }
        letters_are(pair, 2).await?;
        pair.client().created("After").await?;
        applied_is(pair, "{[0,2)}").await?;

        let found = listed(pair).await?;
        let lengths: Vec<_> = found.iter().map(|letter| letter["body_bytes"].clone()).collect();
        assert_eq!(lengths, [json!(body.len()), json!(other.len())], "the same beginning, and two letters");
        assert!(found.iter().all(|letter| letter["body_cut"] == true), "{found:?}");
        let stored = "SELECT max(length(body)) FROM dead_letters";
        let stored: i32 = pair.replica.sql().await?.query_one(stored, &[]).await?.try_get(0)?;
        assert_eq!(stored, 64 * 1024);
        let of_whole = "SELECT fingerprint = sha256($1) FROM dead_letters WHERE id = $2";
        let id = found[0]["id"].as_i64().context("no id")?;
        let row = pair.replica.sql().await?.query_one(of_whole, &[&body, &id]).await?;
        assert!(row.try_get::<_, bool>(0)?, "the SHA-256 is that of the whole body");
        let shown = run(pair, &["show", &id.to_string()]).await?.expect(0)?;
        assert!(shown.text()?.contains("the first 65536 of 3145728 bytes"), "it says that it is cut");
        let retried = run(pair, &["retry", &id.to_string()]).await?.expect(1)?;
        assert!(retried.text()?.contains("only the beginning"), "{}", retried.text()?);
        Ok(())
    })
}

#[test]
fn beyond_the_bound_of_open_letters_nothing_is_stored_and_nothing_else_stops() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_connection, channel) = pair.broker.channel().await?;
        let fill = "INSERT INTO dead_letters (reason, body, fingerprint)
                    SELECT 'filled', '', sha256(number::text::bytea) FROM generate_series(1, $1) AS number";
        pair.replica.sql().await?.execute(fill, &[&5_000]).await?;

        publish_as_stranger(&channel, BATCH, b"one too many").await?;
        consumer_says(pair, "dead_letters", "no room for further dead letters").await?;
        assert_eq!(letters(pair).await?, 5_000);
        // What has a position gets the other half of the room.
        refuse(pair, "parking_slots", "NEW.name LIKE 'culprit%'", "P0001").await?;
        client.created("culprit").await?;
        applied_is(pair, "{[0,2)}").await?;
        assert_eq!(letters(pair).await?, 5_001);
        // Until that is full as well.
        let full = "INSERT INTO dead_letters (reason, body) SELECT 'full', '' FROM generate_series(1, 4999)";
        pair.replica.sql().await?.execute(full, &[]).await?;
        client.created("culprit again").await?;
        client.created("innocent").await?;
        applied_is(pair, "{[0,2),[3,4)}").await?;

        pair.replica.sql().await?.execute("DELETE FROM dead_letters WHERE reason = 'filled'", &[]).await?;

        applied_is(pair, "{[0,4)}").await?;
        pair.ready().await
    })
}
