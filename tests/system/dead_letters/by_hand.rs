//! Dead letters on the command line: listed, shown, discarded.

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use system_tests::{
    Pair, RECOVERY, assert_level, eventually,
    program::{Ended, Run},
    with_pair,
};

use super::{BATCH, letters, publish_as_stranger};

pub(crate) async fn run(pair: &Pair, arguments: &[&str]) -> Result<Ended> {
    let arguments: Vec<&str> = ["dead-letters"].iter().chain(arguments).copied().collect();
    Run::event_consumer(pair, &arguments)?.end().await
}

/// The open letters, one object each.
pub(crate) async fn listed(pair: &Pair) -> Result<Vec<Value>> {
    let ended = run(pair, &["list", "--json"]).await?.expect(0)?;
    ended.text()?.lines().map(|line| serde_json::from_str(line).context("a line is no JSON")).collect()
}

pub(crate) async fn letters_are(pair: &Pair, expected: i64) -> Result<()> {
    eventually(RECOVERY, "letters are dead-lettered", async || {
        let letters = letters(pair).await?;
        ensure!(letters == expected, "{letters} of {expected}");
        Ok(())
    })
    .await
}

#[test]
fn garbage_is_listed_shown_and_discarded() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        let garbage = b"\xff\xfe no text";
        publish_as_stranger(&channel, BATCH, b"[\"\x1b[2J \\u0000\"]").await?;
        letters_are(pair, 1).await?;
        publish_as_stranger(&channel, BATCH, garbage).await?;
        letters_are(pair, 2).await?;

        let table = run(pair, &["list"]).await?.expect(0)?;
        let lines = listed(pair).await?;
        let text = run(pair, &["show", "2"]).await?.expect(0)?;
        let object = run(pair, &["show", "2", "--json"]).await?.expect(0)?.json()?;
        let escapes = run(pair, &["show", "1"]).await?.expect(0)?;
        let discarded = run(pair, &["discard", "1", "2"]).await?.expect(0)?;
        let none = run(pair, &["list"]).await?.expect(0)?;

        let table = table.text()?;
        assert_eq!(table.lines().count(), 3, "a head and two rows: {table}");
        assert!(table.contains("parking.create") && table.contains("not a JSON array"), "{table}");
        assert_eq!(lines.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
        assert!(lines.iter().all(|line| line["position"].is_null() && line["retries"] == 0), "{lines:?}");
        let encoded = BASE64_STANDARD.encode(garbage);
        assert_eq!((&object["encoding"], &object["body"]), (&json!("base64"), &json!(encoded)));
        assert_eq!(object["headers"]["content_type"], BATCH);
        let shown = text.text()?;
        assert!(shown.ends_with(&format!("\nbody:       10 bytes, base64\n{encoded}\n")), "{shown}");
        assert!(!escapes.text()?.contains('\x1b'), "a message must not steer the terminal");
        assert_eq!(discarded.text()?, "1: discarded\n2: discarded\n");
        assert_eq!(none.text()?, "no dead letters\n");
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn an_event_that_was_discarded_stays_settled_and_is_said_to_be_missing_no_more() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let write = client.create("culprit").await?.expect(201)?;
        letters_are(pair, 1).await?;
        let shown = run(pair, &["show", "1", "--json"]).await?.expect(0)?.json()?;

        run(pair, &["discard", "1"]).await?.expect(0)?;

        let event: Value = serde_json::from_str(shown["body"].as_str().context("no body")?)?;
        assert_eq!((&shown["encoding"], &event["data"]["name"]), (&json!("utf-8"), &json!("culprit")));
        let receipt = write.header("Write-Receipt").context("no receipt")?;
        let location = write.header("Location").context("no location")?;
        let read = client.get_path(&format!("{location}?receipt={receipt}")).await?.expect(404)?;
        assert_eq!(read.header("Freshness-Result"), Some("satisfied"));
        assert_eq!(read.header("Freshness-Missing"), None);
        // Second thoughts: the log still has it.
        pair.replica.accept_culprits().await?;
        let replay = ["replay", "--from", "1", "--to", "1"];
        Run::command_service(pair, &replay)?.end().await?.expect(0)?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn the_exit_status_says_what_went_wrong_with_dead_letters() -> Result<()> {
    let cases: [(&[&str], i32, &str, &str); 8] = [
        (&["list"], 0, "", "nothing is dead-lettered"),
        (&["show", "7"], 1, "event-consumer: no dead letter 7\n", "no such letter"),
        (&["retry", "7"], 1, "event-consumer: 1 of 1 were not applied\n", "no such letter"),
        (&["retry", "--all"], 0, "", "nothing to retry"),
        (&["discard", "7", "8"], 1, "event-consumer: 2 of 2 were not discarded\n", "no such letters"),
        (&["retry"], 2, "", "which?"),
        (&["retry", "--all", "7"], 2, "", "all, or these?"),
        (&["discard"], 2, "", "to discard all takes naming them"),
    ];
    with_pair(async |pair| {
        for (arguments, status, errors, reason) in cases {
            let ended = run(pair, arguments).await?;

            let (code, said) = (ended.status.code(), &ended.errors);
            assert_eq!(code, Some(status), "{arguments:?}: {reason}: {said}");
            assert!(status == 2 || said == errors, "{arguments:?}: {reason}: {said}");
        }
        let which = run(pair, &["retry"]).await?;
        assert!(which.errors.contains("<ID|--all>"), "what may be given is named: {}", which.errors);
        pair.links.consumer_replica.cut().await;
        for arguments in [&["list"][..], &["show", "1"], &["retry", "--all"], &["discard", "1"]] {
            let ended = run(pair, arguments).await?.expect(3)?;

            assert_eq!(
                ended.errors, "event-consumer: the replica is down: Connection refused (os error 111)\n",
                "{arguments:?}"
            );
        }
        Ok(())
    })
}
