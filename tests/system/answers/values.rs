//! Names and statuses.

use anyhow::Result;
use serde_json::json;
use system_tests::{Pair, with_pair};
use uuid::Uuid;

use super::{Case, batch, check_refusals, create, patch};

const INVALID: &str = "invalid-value";

/// The same fault in a create, in a change and in an item of a batch.
fn wherever(slot: Uuid, reason: &'static str, name: &str) -> [Case; 3] {
    let body = json!({ "name": name }).to_string();
    let item = json!([{ "name": "A" }, { "name": name }]).to_string();
    [
        Case::new(reason, create(body.clone()), INVALID).at(["/name"]),
        Case::new(reason, patch(slot, body), INVALID).at(["/name"]),
        Case::new(reason, batch(item), INVALID).at(["/1/name"]),
    ]
}

#[test]
fn a_text_that_is_no_name_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let names = [
            (String::new(), "no character"),
            (" ".to_owned(), "only a blank"),
            (" \t\r\n\u{a0}\u{3000}\u{2028}\u{85}".to_owned(), "only white space of every kind"),
            ("A\u{0}B".to_owned(), "NUL, which the database cannot hold"),
            ("\u{0}".to_owned(), "nothing but NUL"),
            ("A\nB".to_owned(), "a line feed within"),
            ("A\u{1b}[31mB".to_owned(), "an escape sequence of terminals"),
            ("A\u{7f}".to_owned(), "DEL"),
            ("A\u{9b}B".to_owned(), "a control character of the upper range"),
            ("\u{200b}".to_owned(), "only a blank without width"),
            (
                "\u{200d}\u{2060}\u{ad} \u{feff}\u{fe0f}\u{e0001}\u{3164}".to_owned(),
                "only what shows nothing",
            ),
            ("A\u{202e}B".to_owned(), "an override of the direction of writing"),
            ("A\u{2066}B\u{2069}".to_owned(), "an isolate"),
            ("A\u{2028}B".to_owned(), "a line separator"),
            ("A\u{2029}B".to_owned(), "a paragraph separator"),
            ("a".repeat(201), "201 characters"),
            ("\u{1f600}".repeat(201), "201 characters beyond the first plane"),
            ("\u{e9}".repeat(201), "201 composed characters"),
            ("e\u{301}".repeat(201), "402 that compose to 201"),
            ("\u{958}".repeat(101), "101 that NFC takes apart into 202"),
            (format!("{}b{}", "a".repeat(200), " ".repeat(10)), "201 characters and blanks behind"),
        ];

        let cases = names.iter().flat_map(|(name, reason)| wherever(slot, reason, name)).collect();

        check_refusals(pair, cases).await
    })
}

#[test]
fn a_word_that_is_no_status_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let words = [
            ("", "no character"),
            ("free", "another word"),
            ("Available", "case matters"),
            (" available", "a blank"),
            ("available\u{0}", "a NUL behind it"),
            ("availa\u{301}ble", "a mark within"),
        ];

        let mut cases = Vec::new();
        for (word, reason) in words {
            let body = json!({ "name": "A", "status": word }).to_string();
            cases.push(Case::new(reason, create(body.clone()), INVALID).at(["/status"]));
            cases.push(Case::new(reason, patch(slot, body), INVALID).at(["/status"]));
        }

        check_refusals(pair, cases).await
    })
}

/// Three persons, joined to one sign.
const FAMILY: &str = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";

/// "They want", which a non-joiner divides.
const PERSIAN: &str = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{646}\u{62f}";

#[test]
fn a_name_at_the_bounds_is_taken_trimmed_and_composed() -> Result<()> {
    with_pair(async |pair| {
        let names = [
            ("a".repeat(200), "a".repeat(200), "200 characters"),
            ("\u{1f600}".repeat(200), "\u{1f600}".repeat(200), "800 bytes are 200 characters"),
            ("e\u{301}".repeat(200), "\u{e9}".repeat(200), "400 that compose to 200"),
            ("\u{958}".repeat(100), "\u{915}\u{93c}".repeat(100), "100 that NFC takes apart into 200"),
            (format!("\u{3000}\t{}\n", "a".repeat(200)), "a".repeat(200), "blanks around do not count"),
            ("a".to_owned(), "a".to_owned(), "one character"),
            ("A\u{200b}B".to_owned(), "A\u{200b}B".to_owned(), "a blank without width between others"),
            (FAMILY.to_owned(), FAMILY.to_owned(), "an emoji of joined ones"),
            (PERSIAN.to_owned(), PERSIAN.to_owned(), "a Persian word with a non-joiner"),
            ("\u{5d0}\u{200f}1".to_owned(), "\u{5d0}\u{200f}1".to_owned(), "a mark of direction in Hebrew"),
        ];

        for (given, taken, reason) in names {
            assert_eq!(taken_name(pair, &given).await?, taken, "{reason}");
        }
        Ok(())
    })
}

async fn taken_name(pair: &Pair, given: &str) -> Result<String> {
    let made = pair.client().create(given).await?.slot(201)?;
    let changed = pair.client().created("Other").await?;
    let changed = pair.client().change(changed.uuid, json!({ "name": given })).await?.slot(200)?;
    assert_eq!(changed.name, made.name, "a change takes a name as a create does");
    Ok(made.name)
}
