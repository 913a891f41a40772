//! JSON, and what only looks like it.

use anyhow::Result;
use serde_json::json;
use system_tests::{Call, answered_within, with_pair};

use super::{BATCH, Case, SLOTS, batch, check_refusals, create, patch};

const MALFORMED: &str = "malformed-json";
const INVALID: &str = "invalid-value";
const UNKNOWN: &str = "unknown-field";

#[test]
fn a_body_that_is_not_json_is_refused_as_malformed() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let not_utf8: &[u8] = b"{\"name\":\"\xff\"}";
        let utf16: Vec<u8> = "{\"name\":\"A\"}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let texts: Vec<(&str, Vec<u8>)> = vec![
            ("no byte at all", b"".to_vec()),
            ("only blanks", b" \t\r\n".to_vec()),
            ("a word", b"name".to_vec()),
            ("an object that does not end", b"{\"name\":\"A\"".to_vec()),
            ("a string that does not end", b"{\"name\":\"A}".to_vec()),
            ("a comma too many", b"{\"name\":\"A\",}".to_vec()),
            ("a colon missing", b"{\"name\" \"A\"}".to_vec()),
            ("a name without quotes", b"{name:\"A\"}".to_vec()),
            ("single quotes", b"{'name':'A'}".to_vec()),
            ("a comment", b"{\"name\":\"A\" /* here */}".to_vec()),
            ("something behind the end", b"{\"name\":\"A\"} x".to_vec()),
            ("two documents", b"{\"name\":\"A\"}{\"name\":\"B\"}".to_vec()),
            ("a byte order mark", b"\xef\xbb\xbf{\"name\":\"A\"}".to_vec()),
            ("not UTF-8 in a value", not_utf8.to_vec()),
            ("not UTF-8 in a name", b"{\"n\xffme\":\"A\"}".to_vec()),
            ("not UTF-8 where nobody looks", b"{\"name\":\"A\",\"x\":[\"\xff\"]}".to_vec()),
            ("UTF-8 of a surrogate", b"{\"name\":\"\xed\xa0\x80\"}".to_vec()),
            ("an overlong encoding", b"{\"name\":\"\xc0\xaf\"}".to_vec()),
            ("UTF-16", utf16),
            ("a raw NUL in a string", b"{\"name\":\"A\0B\"}".to_vec()),
            ("a raw line feed in a string", b"{\"name\":\"A\nB\"}".to_vec()),
            ("a NUL behind the end", b"{\"name\":\"A\"}\0".to_vec()),
            ("a first half of a surrogate pair alone", br#"{"name":"\ud83d"}"#.to_vec()),
            ("a second half alone", br#"{"name":"\ude00"}"#.to_vec()),
            ("two first halves", br#"{"name":"\ud83d\ud83d"}"#.to_vec()),
            ("half a pair in a member's name", br#"{"name":"A","\ud83d":1}"#.to_vec()),
            ("an escape that does not exist", br#"{"name":"\x41"}"#.to_vec()),
            ("an escape that is too short", br#"{"name":"\u004"}"#.to_vec()),
            ("a number with a leading zero", b"{\"name\":01}".to_vec()),
            ("a number that is none", b"{\"name\":NaN}".to_vec()),
            ("a member twice", br#"{"name":"A","name":"B"}"#.to_vec()),
            ("a member twice with the same value", br#"{"name":"A","name":"A"}"#.to_vec()),
            ("a member twice, once spelt otherwise", br#"{"name":"A","na\u006de":"B"}"#.to_vec()),
            ("an unknown member twice", br#"{"name":"A","x":1,"x":2}"#.to_vec()),
            ("brackets that are not closed", [b"{\"name\":".as_slice(), &b"[".repeat(60_000)].concat()),
            ("brackets at the top that are not closed", b"[".repeat(60_000)),
        ];

        let mut cases = Vec::new();
        for (reason, text) in &texts {
            cases.push(Case::new(reason, create(text.clone()), MALFORMED));
            cases.push(Case::new(reason, patch(slot, text.clone()), MALFORMED));
            let item = [b"[{\"name\":\"First\"},".as_slice(), text, b"]"].concat();
            let blank = text.iter().all(u8::is_ascii_whitespace);
            cases.push(Case::new(reason, batch(if blank { text.clone() } else { item }), MALFORMED));
        }

        check_refusals(pair, cases).await
    })
}

#[test]
fn json_of_another_shape_is_refused_by_place() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(20_000), "]".repeat(20_000));
        let scalars = ["null", "true", "1", "-1.5e3", "1e999", "\"A\""];

        let mut cases = Vec::new();
        for text in scalars.iter().chain(&["[]", "[{\"name\":\"A\"}]"]) {
            cases.push(Case::new("a create is an object", create(*text), INVALID).at([""]));
            cases.push(Case::new("a change is an object", patch(slot, *text), INVALID).at([""]));
        }
        for text in scalars.iter().chain(&["{}", "{\"name\":\"A\"}"]) {
            cases.push(Case::new("a batch is an array", batch(*text), INVALID).at([""]));
        }
        for text in scalars.iter().chain(&["[]", "[[]]"]) {
            let text = format!("[{{\"name\":\"A\"}},{text}]");
            cases.push(Case::new("an item is an object", batch(text), INVALID).at(["/1"]));
        }
        for value in ["null", "true", "1", "1e999", &"9".repeat(500), "{}", "{\"a\":{}}", "[]", &deep("1")] {
            let name = format!("{{\"name\":{value}}}");
            cases.push(Case::new("a name is a string", create(name.clone()), INVALID).at(["/name"]));
            cases.push(Case::new("a name is a string", patch(slot, name.clone()), INVALID).at(["/name"]));
            cases.push(Case::new("a name is a string", batch(format!("[{name}]")), INVALID).at(["/0/name"]));
            let status = format!("{{\"name\":\"A\",\"status\":{value}}}");
            cases.push(Case::new("a status is a string", create(status), INVALID).at(["/status"]));
            let status = format!("{{\"status\":{value}}}");
            cases.push(
                Case::new("a change cannot remove a status", patch(slot, status), INVALID).at(["/status"]),
            );
        }
        cases.push(Case::new("deep, and no object", create(deep("")), INVALID).at([""]));
        cases.push(Case::new("a create needs a name", create("{}"), INVALID).at(["/name"]));

        check_refusals(pair, cases).await
    })
}

#[test]
fn unknown_members_are_refused_by_place() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let named = |name: &str| json!({ "name": "A", name: 1 }).to_string();

        let mut cases = Vec::new();
        for (name, pointer, reason) in [
            ("colour", "/colour", "no such field"),
            ("Name", "/Name", "case matters"),
            ("uuid", "/uuid", "made by the service"),
            ("version", "/version", "counted by the service"),
            ("created_at", "/created_at", "noted by the service"),
            ("", "/", "a name without characters"),
            ("a/b", "/a~1b", "a slash is escaped"),
            ("a~b", "/a~0b", "a tilde is escaped"),
            ("~1", "/~01", "what looks like an escape is escaped"),
            ("/name", "/~1name", "no way around"),
            ("\u{0}", "/\u{0}", "a NUL"),
            ("\u{1f600}", "/\u{1f600}", "beyond the first plane"),
            ("name\u{301}", "/name\u{301}", "another name, though it looks alike"),
        ] {
            cases.push(Case::new(reason, create(named(name)), UNKNOWN).at([pointer]));
            cases.push(Case::new(reason, patch(slot, named(name)), UNKNOWN).at([pointer]));
        }
        let third = "[{\"name\":\"A\"},{\"name\":\"B\"},{\"name\":\"C\",\"a/b\":[]}]";
        cases.push(Case::new("an item's place comes first", batch(third), UNKNOWN).at(["/2/a~1b"]));

        check_refusals(pair, cases).await
    })
}

#[test]
fn every_fault_is_named_at_once() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let mut items = vec![json!({ "name": "A" }); 20];
        items[3] = json!(1);
        items[17] = json!({ "name": "", "status": "free", "x": 1 });
        items[19] = json!({});
        let faults = ["/3", "/17/name", "/17/status", "/17/x", "/19/name"];
        let without_unknown = json!([{ "name": "A" }, { "name": 1, "status": 2 }, null]);

        let cases = vec![
            Case::new("both fields", create(r#"{"name":"","status":"free"}"#), INVALID)
                .at(["/name", "/status"]),
            Case::new("both fields", patch(slot, r#"{"name":"","status":"free"}"#), INVALID)
                .at(["/name", "/status"]),
            Case::new("one missing, one wrong", create(r#"{"status":"free"}"#), INVALID)
                .at(["/name", "/status"]),
            Case::new(
                "an unknown one is the worse fault",
                create(r#"{"x":1,"status":"free","y":2}"#),
                UNKNOWN,
            )
            .at(["/name", "/status", "/x", "/y"]),
            Case::new("faults of several items", batch(json!(items).to_string()), UNKNOWN).at(faults),
            Case::new("faults of values only", batch(without_unknown.to_string()), INVALID).at([
                "/1/name",
                "/1/status",
                "/2",
            ]),
        ];

        check_refusals(pair, cases).await
    })
}

#[test]
fn members_beyond_number_are_answered_soon() -> Result<()> {
    with_pair(async |pair| {
        let members: Vec<String> = (0..300_000).map(|number| format!("\"{number:x}\":0")).collect();
        let body = format!("[{{{}}}]", members.join(","));
        assert!(body.len() < 4 * 1024 * 1024, "the body is not refused for its size");

        let (call, address) = (Call::new("POST", BATCH).json(body), pair.command_service().address());
        let soon = std::time::Duration::from_secs(5);

        let answer = answered_within(soon, async || call.send(&address).await).await?.expect(400)?;

        assert_eq!(answer.problem(), UNKNOWN);
        assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(100), "the first of them");
        assert_eq!(answer.body["more"], 299_901, "the others, and the name");
        let few = create("{\"a\":1}").send(&address).await?.expect(400)?;
        assert!(few.body["more"].is_null(), "all are named: {}", few.text);
        let items = vec!["{\"name\":1,\"x\":1}"; 51].join(",");
        let many = batch(format!("[{items}]")).send(&address).await?.expect(400)?;
        assert_eq!(many.body["errors"].as_array().map(Vec::len), Some(100), "of several items");
        assert_eq!(many.body["more"], 2, "{}", many.body["more"]);
        Ok(())
    })
}

#[test]
fn a_body_is_taken_as_it_is_meant() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let texts: [(&str, &str, &str); 6] = [
            (r#"{"na\u006de":"Slot 1"}"#, "Slot 1", "an escaped member's name"),
            (r#"{"name":"\ud83d\ude00"}"#, "\u{1f600}", "a whole surrogate pair"),
            (" \t\r\n{ \"name\" : \"Slot 1\" }\r\n", "Slot 1", "blanks around"),
            (r#"{"name":"\"\\\/"}"#, "\"\\/", "escapes"),
            (r#"{"status":"available","name":"Slot 1"}"#, "Slot 1", "any order"),
            (r#"{"name":"\u0053lot"}"#, "Slot", "an escape that is not needed"),
        ];

        for (text, name, reason) in texts {
            let made = Call::new("POST", SLOTS).json(text).send(&address).await?.slot(201)?;
            assert_eq!(made.name, name, "{reason}");
        }
        Ok(())
    })
}
