//! Query parameters, cursors, uuids.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use system_tests::{Call, Client, Slot, assert_level, with_pair};

use super::{BATCH, Case, SLOTS, check_refusals, create, get};

const INVALID: &str = "invalid-parameter";

/// A cursor as it is made: one byte that says which form this is, eight of the time, sixteen of the uuid.
fn cursor(form: u8, micros: i64) -> String {
    URL_SAFE_NO_PAD.encode([&[form][..], &micros.to_be_bytes(), &[7; 16]].concat())
}

#[test]
fn a_parameter_that_is_unknown_repeated_or_malformed_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let too_long = format!("name={}", "a".repeat(201));
        let queries: Vec<(&str, &[u8])> = vec![
            ("unknown", b"colour=red"),
            ("unknown, and known ones beside it", b"limit=10&offset=5"),
            ("unknown though the case alone differs", b"Limit=10"),
            ("unknown: a name without characters", b"=5"),
            ("unknown: no value either", b"x"),
            ("unknown: freshness is not offered by this name", b"fresh=1"),
            ("repeated", b"limit=10&limit=20"),
            ("repeated with the same value", b"status=available&status=available"),
            ("repeated, once spelt otherwise", b"limit=10&%6cimit=10"),
            ("limit 0", b"limit=0"),
            ("limit 1001", b"limit=1001"),
            ("limit beyond any number", b"limit=99999999999999999999999999"),
            ("limit below 0", b"limit=-1"),
            ("limit with a plus, which is a blank", b"limit=+1"),
            ("limit with a real plus", b"limit=%2B1"),
            ("limit as a power", b"limit=1e2"),
            ("limit with a fraction", b"limit=1.0"),
            ("limit in other digits", "limit=%D9%A1".as_bytes()),
            ("limit in hexadecimal", b"limit=0x10"),
            ("limit with a zero before it", b"limit=01"),
            ("limit empty", b"limit="),
            ("limit without a value", b"limit"),
            ("a blank before it", b"limit=%2010"),
            ("status unknown", b"status=free"),
            ("status in other case", b"status=Available"),
            ("status empty", b"status="),
            ("two statuses", b"status=available,blocked"),
            ("name empty", b"name="),
            ("name with NUL", b"name=A%00B"),
            ("name with a line feed", b"name=%0A"),
            ("name too long", too_long.as_bytes()),
            ("a value that is not UTF-8", b"name=%FF"),
            ("a value that is half a character", b"name=%C3"),
            ("a surrogate", b"name=%ED%A0%80"),
            ("a name that is not UTF-8", b"n%FFme=A"),
            ("a percent sign alone", b"name=100%"),
            ("a percent sign before no digits", b"name=%zz"),
            ("a percent sign before one digit", b"name=%4"),
            ("cursor empty", b"cursor="),
            ("cursor that is a number", b"cursor=2"),
            ("cursor that is no base64", b"cursor=!!!!"),
            ("a place beyond the question mark", b"limit=1?limit=2"),
        ];

        let mut cases = Vec::new();
        for (reason, query) in queries {
            let target = [SLOTS.as_bytes(), b"?", query].concat();
            cases.push(Case::new(reason, get(target.clone()), INVALID));
            cases.push(Case::new(reason, Call::new("GET", target).header("Accept", "text/html"), INVALID));
        }
        let slot = format!("{SLOTS}/{}", pair.client().created("Slot 1").await?.uuid);
        let summary = "/parking-slots/summary";
        let body = "{\"name\":\"A\"}";
        for query in ["limit=1", "x=1", "status=available", "x=%FF", "x=%zz"] {
            let with_query = |target: &str| format!("{target}?{query}");
            let reason = "a parameter that this resource does not have";
            for target in [&slot, summary, "/health", "/livez", "/readyz", "/problems/not-found"] {
                cases.push(Case::new(reason, get(with_query(target)), INVALID));
            }
            for (method, target, body) in
                [("POST", SLOTS, body), ("POST", BATCH, "[{\"name\":\"A\"}]"), ("PATCH", slot.as_str(), body)]
            {
                cases.push(Case::new(reason, Call::new(method, with_query(target)).json(body), INVALID));
            }
            cases.push(Case::new(reason, Call::new("DELETE", with_query(&slot)), INVALID));
        }

        check_refusals(pair, cases).await
    })
}

#[test]
fn a_cursor_that_was_never_given_out_is_refused_or_a_place_like_any_other() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slots = [client.created("Slot 1").await?, client.created("Slot 2").await?];
        assert_level(pair).await?;
        let page = client.list("?limit=1").await?.expect(200)?.body;
        let given = page["next_cursor"].as_str().context("no cursor")?;

        let behind_all = client.list(&format!("?cursor={}", cursor(1, 4_000_000_000_000_000))).await?;
        let before_all = client.list(&format!("?cursor={}", cursor(1, 0))).await?;

        assert_eq!(items(&behind_all.expect(200)?.body)?, [], "a time in the future is behind everything");
        assert_eq!(items(&before_all.expect(200)?.body)?, slots, "a time in the past is before everything");
        let (head, last) = given.split_at(given.len() - 1);
        let cursors = [
            ("one digit less", head.to_owned()),
            ("one digit more", format!("{given}A")),
            ("padded", format!("{given}==")),
            ("bits behind its end", format!("{head}{}", if last == "B" { "C" } else { "B" })),
            ("another alphabet", given.replacen(|one: char| one.is_ascii_alphanumeric(), "/", 1)),
            ("a blank behind it", format!("{given}%20")),
            ("another form", cursor(2, 0)),
            ("no form", cursor(0, 0)),
            ("a time before any that can be kept", cursor(1, i64::MIN)),
            ("a time after any that can be kept", cursor(1, i64::MAX)),
            ("a time that one side knows and the other does not", cursor(1, -300_000_000_000_000_000)),
            ("a uuid", slots[0].uuid.to_string()),
        ];
        let cases = cursors
            .iter()
            .map(|(reason, cursor)| Case::new(reason, get(format!("{SLOTS}?cursor={cursor}")), INVALID));
        check_refusals(pair, cases.collect()).await
    })
}

#[test]
fn a_cursor_works_with_any_filter_and_limit_and_after_its_slot_is_gone() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let mut slots = Vec::new();
        for number in 0..6 {
            slots.push(client.created(&format!("Slot {number}")).await?);
        }
        slots[4] = client.change(slots[4].uuid, json!({ "status": "blocked" })).await?.slot(200)?;
        assert_level(pair).await?;
        let page = client.list("?limit=2").await?.expect(200)?.body;
        let cursor = page["next_cursor"].as_str().context("no cursor")?;

        client.delete(slots[1].uuid).await?.expect(204)?;
        assert_level(pair).await?;

        let rest = |query: &str| format!("?cursor={cursor}{query}");
        assert_eq!(listed(&client, &rest("")).await?, slots[2..], "the slot before the place is gone");
        assert_eq!(listed(&client, &rest("&limit=1")).await?, slots[2..3], "another limit");
        assert_eq!(listed(&client, &rest("&limit=1000")).await?, slots[2..], "the largest limit");
        assert_eq!(listed(&client, &rest("&status=blocked")).await?, slots[4..5], "a filter by status");
        assert_eq!(listed(&client, &rest("&name=LOT%205")).await?, slots[5..], "a filter by name");
        assert_eq!(listed(&client, &rest("&status=reserved")).await?, [], "a filter that nothing passes");
        let of_filter = client.list("?status=available&limit=1").await?.expect(200)?.body;
        let of_filter = of_filter["next_cursor"].as_str().context("no cursor")?;
        let without = listed(&client, &format!("?cursor={of_filter}")).await?;
        assert_eq!(without, slots[2..], "a cursor of a filtered list, without the filter");
        Ok(())
    })
}

#[test]
fn signs_in_a_name_filter_mean_themselves() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        for name in ["100%", "100x", "a_b", "aXb", "a\\b", "a+b", "\u{c4}rger", "A\u{301}"] {
            client.created(name).await?;
        }
        assert_level(pair).await?;

        for (query, expected, reason) in [
            ("100%25", vec!["100%"], "a percent sign is no joker"),
            ("A_B", vec!["a_b"], "an underscore is no joker, and case does not matter"),
            ("%5C", vec!["a\\b"], "a backslash escapes nothing"),
            ("a%2Bb", vec!["a+b"], "a real plus"),
            ("%C3%A4rger", vec!["\u{c4}rger"], "case does not matter beyond ASCII"),
            ("a%CC%81", vec!["\u{c1}"], "it is composed as names are"),
            ("'%20OR%201=1", vec![], "nothing ends the string"),
        ] {
            let found = listed(&client, &format!("?name={query}")).await?;
            let names: Vec<&str> = found.iter().map(|slot| slot.name.as_str()).collect();
            assert_eq!(names, expected, "{reason}");
        }
        Ok(())
    })
}

#[test]
fn a_uuid_has_one_form() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot 1").await?;
        assert_level(pair).await?;
        let uuid = slot.uuid;
        let (simple, braced, urn) =
            (uuid.simple().to_string(), uuid.braced().to_string(), uuid.urn().to_string());

        let upper = client.get_path(&format!("{SLOTS}/{}", uuid.to_string().to_uppercase())).await?;

        assert_eq!(upper.slot(200)?, slot, "case does not matter");
        let mut cases = Vec::new();
        for (segment, reason) in [
            (simple, "without hyphens"),
            (braced.replace('{', "%7B").replace('}', "%7D"), "in braces"),
            (urn, "a URN"),
            (uuid.to_string()[..35].to_owned(), "a digit less"),
            (format!("{uuid}0"), "a digit more"),
            (format!("{uuid}%20"), "a blank behind it"),
            (uuid.to_string().replacen('-', "0", 1), "a hyphen less"),
            (format!("{}g", &uuid.to_string()[..35]), "a letter that is no digit"),
            ("1".to_owned(), "a number"),
            ("%FF".to_owned(), "not UTF-8"),
            ("%00".to_owned(), "a NUL"),
            ("..%2F".to_owned(), "a way up"),
            ("null".to_owned(), "a word"),
        ] {
            let target = format!("{SLOTS}/{segment}");
            cases.push(Case::new(reason, get(target.clone()), INVALID));
            cases.push(Case::new(reason, Call::new("DELETE", target.clone()), INVALID));
            cases.push(Case::new(reason, Call::new("PATCH", target).json("{}"), INVALID));
        }
        cases.push(Case::new(
            "the body is not looked at first",
            create("{").header("X", "y"),
            "malformed-json",
        ));
        check_refusals(pair, cases).await
    })
}

async fn listed(client: &Client, query: &str) -> Result<Vec<Slot>> {
    items(&client.list(query).await?.expect(200)?.body)
}

fn items(page: &serde_json::Value) -> Result<Vec<Slot>> {
    ensure!(page["items"].is_array(), "no items: {page}");
    Ok(serde_json::from_value(page["items"].clone())?)
}
