//! What the filters and the limit mean, while nothing changes.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Client, Pair, assert_level, client::Page, with_pair};

use super::walk::{Query, Walk};

/// Creates slots of these names in this order.
async fn create(pair: &Pair, names: &[&str]) -> Result<()> {
    let body = Value::Array(names.iter().map(|name| json!({ "name": name })).collect());
    pair.client().call(Method::POST, "/parking-slots/batch", Some(body)).await?.expect(201)?;
    assert_level(pair).await?;
    Ok(())
}

async fn names_with(client: &Client, part: &str) -> Result<Vec<String>> {
    let encoded: String = part.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let reply = client.list(&format!("?name={encoded}")).await?.expect(200)?;
    let page: Page = serde_json::from_value(reply.body)?;
    Ok(page.items.into_iter().map(|slot| slot.name).collect())
}

#[test]
fn a_name_is_found_by_any_part_of_it_and_every_character_means_itself() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let names = [
            "100% free",
            "100 free",
            "row_1",
            "row 1",
            r"C:\bay",
            "C:bay",
            r"\%",
            "Äpfel",
            "STRASSE",
            "Straße",
            "ΟΔΟΣ",
            "ЮГ 7",
            "e\u{301}tage",
            "*",
            "^bay$",
            "'; --",
            "a&b=c+d",
            "🚗 bay",
        ];
        create(pair, &names).await?;
        let cases: [(&str, &[&str], &str); 22] = [
            ("%", &["100% free", r"\%"], "a percent sign is no wildcard"),
            ("_", &["row_1"], "nor is an underscore"),
            (r"\", &[r"C:\bay", r"\%"], "and a backslash escapes nothing"),
            (r"\%", &[r"\%"], "not even one of those"),
            (r"\\", &[], "two are two"),
            ("0%", &["100% free"], "a percent sign at the end"),
            ("w_1", &["row_1"], "an underscore between others"),
            ("FREE", &["100% free", "100 free"], "capitals find small letters"),
            ("äpf", &["Äpfel"], "small letters find capitals, beyond ASCII too"),
            ("ÄPF", &["Äpfel"], "and capitals find what is written so"),
            ("a\u{308}pf", &["Äpfel"], "a decomposed letter finds the composed one"),
            ("ÉTAGE", &["\u{e9}tage"], "and is stored composed"),
            ("strasse", &["STRASSE"], "one letter for one: ß is not ss"),
            ("straße", &["Straße"], "ß is ß"),
            ("юг", &["ЮГ 7"], "Cyrillic"),
            ("οδο", &["ΟΔΟΣ"], "Greek"),
            ("*", &["*"], "no wildcard of another kind"),
            ("^bay$", &["^bay$"], "no regular expression"),
            ("';", &["'; --"], "no end of a string"),
            ("b=c+d", &["a&b=c+d"], "what has a meaning in a query string"),
            ("🚗", &["🚗 bay"], "beyond the basic plane"),
            (" ", &["100% free", "100 free", "row 1", "ЮГ 7", "'; --", "🚗 bay"], "a blank is a character"),
        ];

        for (part, expected, reason) in cases {
            let found = names_with(&client, part).await?;

            assert_eq!(found, expected, "{part:?}: {reason}");
        }
        Ok(())
    })
}

#[test]
fn a_next_cursor_is_given_exactly_when_something_follows() -> Result<()> {
    with_pair(async |pair| {
        let names: Vec<String> = (0..12).map(|number| format!("Bay {number}")).collect();
        create(pair, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let bays = |name| Query { limit: 1, status: None, name: Some(name) };
        let cases = [
            (Query::all(1), 12, "one by one"),
            (Query::all(5), 3, "the last page is not full"),
            (Query::all(6), 2, "the last page is just full"),
            (Query::all(11), 2, "one is left"),
            (Query::all(12), 1, "all of them, just full"),
            (Query::all(13), 1, "all of them"),
            (Query::all(1000), 1, "the largest page"),
            (bays("y 1"), 3, "of those that pass the filter: 1, 10 and 11"),
            (bays("Bay 3"), 1, "others follow, but none that passes"),
            (bays("nowhere"), 1, "nothing passes"),
            (Query { status: Some("occupied"), ..Query::all(1) }, 1, "nothing has this status"),
        ];

        for (query, pages, reason) in cases {
            let walk = Walk::through(pair, &[pair.client()], query).await?;

            assert_eq!(walk.pages.len(), pages, "{query:?}: {reason}");
            let shown = walk.slots().map(|slot| slot.name.as_str());
            let expected = names.iter().map(String::as_str).filter(|name| query.matches(name, "available"));
            assert!(shown.eq(expected), "{query:?}: {reason}");
        }
        Ok(())
    })
}
