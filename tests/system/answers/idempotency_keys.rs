//! `Idempotency-Key`: which are keys, and which requests are not the one that was carried out.

use anyhow::Result;
use system_tests::{Call, with_pair};

use super::{BATCH, Case, SLOTS, batch, check_refusals, create, patch};

/// The four commands.
fn commands() -> [Call; 4] {
    let slot = uuid::Uuid::nil();
    [
        create(r#"{"name":"Slot"}"#),
        batch(r#"[{"name":"Slot"}]"#),
        patch(slot, r#"{"name":"Slot"}"#),
        Call::new("DELETE", format!("{SLOTS}/{slot}")),
    ]
}

fn with_key(call: Call, key: impl Into<Vec<u8>>) -> Call {
    call.header("Idempotency-Key", key)
}

#[test]
fn keys_that_are_not_1_to_200_visible_ascii_characters_are_refused_by_every_command() -> Result<()> {
    with_pair(async |pair| {
        let malformed: [(&'static str, Vec<u8>); 8] = [
            ("empty", Vec::new()),
            ("only a blank", b" ".to_vec()),
            ("201 characters", "k".repeat(201).into_bytes()),
            ("a blank within", b"a b".to_vec()),
            ("a tab within", b"a\tb".to_vec()),
            ("a letter beyond ASCII", "caf\u{e9}".as_bytes().to_vec()),
            ("a byte that is no UTF-8", b"caf\xe9".to_vec()),
            ("two keys on a line", b"a, b".to_vec()),
        ];

        let mut cases = Vec::new();
        for call in commands() {
            for (reason, key) in &malformed {
                cases.push(Case::new(reason, with_key(call.clone(), key.clone()), "invalid-parameter"));
            }
            let two = with_key(with_key(call.clone(), "a"), "b");
            cases.push(Case::new("two lines", two, "invalid-parameter"));
            let twice = with_key(with_key(call, "a"), "a");
            cases.push(Case::new("the same on two lines", twice, "invalid-parameter"));
        }

        check_refusals(pair, cases).await
    })
}

#[test]
fn the_longest_key_and_every_visible_character_are_taken() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let every: Vec<u8> = (0x21..=0x7e).collect();
        let keys = [b"k".to_vec(), vec![b'k'; 200], every, b"\"quoted\"".to_vec(), b"';--".to_vec()];

        for key in keys {
            let call = with_key(create(r#"{"name":"Slot"}"#), key);
            let first = call.send(&address).await?.expect(201)?;
            let again = call.send(&address).await?.expect(201)?;

            assert_eq!(first.header("idempotency-replayed"), None);
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!(again.text, first.text);
        }
        system_tests::assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn another_request_with_the_key_of_one_that_was_carried_out_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let client = pair.client();
        let (one, other) = (client.created("One").await?.uuid, client.created("Other").await?.uuid);
        let path = format!("{SLOTS}/{one}");
        let body = r#"{"name":"Slot"}"#;
        let change = |body: &str| with_key(patch(one, body), "change");
        with_key(create(body), "create").send(&address).await?.expect(201)?;
        with_key(batch(r#"[{"name":"Slot"}]"#), "batch").send(&address).await?.expect(201)?;
        change(body).header("If-Match", "\"1\"").send(&address).await?.expect(200)?;
        with_key(Call::new("DELETE", format!("{SLOTS}/{other}")), "delete")
            .send(&address)
            .await?
            .expect(204)?;

        let cases = [
            ("another name", with_key(create(r#"{"name":"Slot 2"}"#), "create")),
            ("a blank more in the body", with_key(create(r#"{"name": "Slot"}"#), "create")),
            ("one more slot", with_key(batch(r#"[{"name":"Slot"},{"name":"Slot"}]"#), "batch")),
            ("to another path", with_key(Call::new("POST", BATCH).json(r#"[{"name":"Slot"}]"#), "create")),
            ("with another method", with_key(patch(one, body), "create")),
            ("without If-Match", change(body)),
            ("another If-Match", change(body).header("If-Match", "\"2\"")),
            ("another spelling of If-Match", change(body).header("If-Match", "\"1\",")),
            ("If-Match on two lines", change(body).header("If-Match", "\"1\"").header("If-Match", "\"1\"")),
            ("another slot", with_key(patch(other, body), "change").header("If-Match", "\"1\"")),
            ("a delete", with_key(Call::new("DELETE", path.clone()), "change")),
            ("a delete of another slot", with_key(Call::new("DELETE", path), "delete")),
            ("a delete with If-Match", {
                let delete = Call::new("DELETE", format!("{SLOTS}/{other}"));
                with_key(delete, "delete").header("If-Match", "*")
            }),
        ];
        let cases = cases.map(|(reason, call)| Case::new(reason, call, "idempotency-key-reused"));

        check_refusals(pair, cases.into()).await?;
        system_tests::assert_level(pair).await?;
        Ok(())
    })
}
