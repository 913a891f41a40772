//! The form of events on the wire.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq, proptest, sample,
};
use serde_json::{Value, json};
use shared::messages::{event::LoggedEvent, repair::Repair, wire::split_batch};

use crate::strategies::logged_event;

/// One fault in the bytes of a message.
#[derive(Clone, Debug)]
enum Damage {
    Overwrite(sample::Index, u8),
    Insert(sample::Index, u8),
    Remove(sample::Index),
    Truncate(sample::Index),
    Repeat(sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<sample::Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(place, byte)| Damage::Overwrite(place, byte)),
        (place(), any::<u8>()).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        place().prop_map(Damage::Remove),
        place().prop_map(Damage::Truncate),
        place().prop_map(Damage::Repeat),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Overwrite(place, byte) => bytes[place.index(length)] = *byte,
            Self::Insert(place, byte) => bytes.insert(place.index(length), *byte),
            Self::Remove(place) => drop(bytes.remove(place.index(length))),
            Self::Truncate(place) => bytes.truncate(place.index(length)),
            Self::Repeat(place) => bytes.extend_from_within(place.index(length)..),
        }
    }
}

/// Values that a member might come with.
fn strange_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        sample::select(vec![
            "",
            "1.0",
            "0000000000000000000",
            "9223372036854775807",
            "available",
            "parking.delete"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({"uuid": "x"})),
    ]
}

fn encoded(event: &LoggedEvent) -> String {
    let mut json = Vec::new();
    event.encode_into(&mut json);
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// What got through the reader keeps the rules on which the projection rests.
fn assert_sound(event: &LoggedEvent) -> Result<(), proptest::test_runner::TestCaseError> {
    let version = event.event.version().get();
    prop_assert!(version >= 1 && version <= event.position.get(), "1 <= version <= position");
    prop_assert!(event.created_at <= event.committed_at, "created before it was committed");
    prop_assert_eq!(event.committed_at.subsec_nanosecond() % 1000, 0, "whole microseconds");
    prop_assert_eq!(event.created_at.subsec_nanosecond() % 1000, 0, "whole microseconds");
    let again = LoggedEvent::decode(&encoded(event)).ok();
    prop_assert_eq!(again.as_ref(), Some(event), "it can be written and read again");
    Ok(())
}

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(event in logged_event()) {
        let json = encoded(&event);

        let read = LoggedEvent::decode(&json);

        prop_assert_eq!(read.ok(), Some(event));
    }

    #[test]
    fn the_members_are_those_of_the_description(event in logged_event()) {
        let json: Value = serde_json::from_str(&encoded(&event)).expect("JSON");

        let sequence = format!("{:019}", event.position.get());

        prop_assert_eq!(json["specversion"].as_str(), Some("1.0"));
        prop_assert_eq!(json["sequence"].as_str(), Some(sequence.as_str()));
        prop_assert_eq!(json["subject"].as_str(), json["data"]["uuid"].as_str());
        prop_assert_eq!(json["dataschema"].as_str(), Some("urn:parking:slot:1"));
        prop_assert_eq!(json["source"].as_str(), Some("/parking/command-service"));
        prop_assert_eq!(json.get("traceparent").is_some(), event.traceparent.is_some());
        let is_update = json["type"] == "parking.update";
        prop_assert_eq!(json.get("changed").is_some(), is_update, "only an update says what changed");
        let members: Vec<&str> = json["data"].as_object().expect("data").keys().map(String::as_str).collect();
        if json["type"] == "parking.delete" {
            prop_assert_eq!(members, ["deleted_at", "uuid", "version"]);
        } else {
            prop_assert_eq!(members, ["created_at", "name", "status", "updated_at", "uuid", "version"]);
        }
    }

    #[test]
    fn damaged_messages_are_refused_or_sound(
        events in vec(logged_event(), 1..4),
        damages in vec(damage(), 1..4),
    ) {
        let mut body = format!("[{}]", events.iter().map(encoded).collect::<Vec<_>>().join(",")).into_bytes();
        damages.iter().for_each(|damage| damage.apply(&mut body));

        for json in split_batch(&body).unwrap_or_default() {
            if let Ok(event) = LoggedEvent::decode(json.get()) {
                assert_sound(&event)?;
            }
        }
    }

    #[test]
    fn events_with_a_strange_member_are_refused_or_sound(
        event in logged_event(),
        member in any::<sample::Index>(),
        in_data in any::<bool>(),
        value in proptest::option::of(strange_value()),
    ) {
        let mut json: Value = serde_json::from_str(&encoded(&event)).expect("JSON");
        let object = if in_data { &mut json["data"] } else { &mut json };
        let object = object.as_object_mut().expect("an object");
        let name = object.keys().nth(member.index(object.len())).cloned().expect("a member");
        match value {
            Some(value) => drop(object.insert(name, value)),
            None => drop(object.remove(&name)),
        }

        if let Ok(event) = LoggedEvent::decode(&json.to_string()) {
            assert_sound(&event)?;
        }
    }

    #[test]
    fn any_bytes_are_refused_or_sound(body in vec(any::<u8>(), 0..200), text in any::<String>()) {
        for json in split_batch(&body).unwrap_or_default() {
            if let Ok(event) = LoggedEvent::decode(json.get()) {
                assert_sound(&event)?;
            }
        }
        prop_assert!(LoggedEvent::decode(&text).is_err(), "no random text is an event");
    }
}

#[test]
fn names_that_older_versions_took_are_read_still() {
    let event = r#"{"specversion":"1.0","id":"01980000-0000-7000-8000-000000000001",
        "source":"/parking/command-service","type":"parking.create",
        "subject":"01980000-0000-7000-8000-000000000002","time":"2026-01-01T00:00:00.000001Z",
        "datacontenttype":"application/json","dataschema":"urn:parking:slot:1","sequence":"0000000000000000007",
        "epoch":"01980000-0000-7000-8000-000000000003","data":{
        "uuid":"01980000-0000-7000-8000-000000000002","name":"NAME","status":"available","version":1,
        "created_at":"2026-01-01T00:00:00.000001Z","updated_at":"2026-01-01T00:00:00.000001Z"}}"#;
    let repair = r#"{"epoch":"01980000-0000-7000-8000-000000000003","slots":[{
        "uuid":"01980000-0000-7000-8000-000000000002","found":{"slot":null,"tombstone":null},"target":{"slot":{
        "name":"NAME","status":"available","version":1,"created_at":"2026-01-01T00:00:00.000001Z",
        "updated_at":"2026-01-01T00:00:00.000001Z"}}}]}"#;
    let cases = [
        ("\\u200b", true, "only what shows nothing"),
        ("A\\u202eB", true, "a bidirectional control"),
        ("A\\u2028B", true, "a line separator"),
        ("A\\u0007B", false, "a control character, which no version took"),
        ("", false, "no character"),
    ];

    for (name, fits, reason) in cases {
        assert_eq!(LoggedEvent::decode(&event.replace("NAME", name)).is_ok(), fits, "{reason}");
        assert_eq!(
            Repair::decode(repair.replace("NAME", name).as_bytes()).is_ok(),
            fits,
            "a repair: {reason}"
        );
    }
}

#[test]
fn unknown_members_are_passed_over_and_known_ones_may_not_come_twice() {
    let event = r#"{"specversion":"1.0","id":"01980000-0000-7000-8000-000000000001",
        "source":"/parking/command-service","type":"parking.delete",
        "subject":"01980000-0000-7000-8000-000000000002","time":"2026-01-01T00:00:00.000001Z",
        "datacontenttype":"application/json","dataschema":"urn:parking:slot:1","sequence":"0000000000000000007",
        "epoch":"01980000-0000-7000-8000-000000000003","data":{
        "uuid":"01980000-0000-7000-8000-000000000002","version":2,"deleted_at":"2026-01-01T00:00:00.000001Z"}}"#;
    let cases = [
        (event.to_owned(), true, "the event itself"),
        (event.replacen('{', r#"{"later":{"deep":[1]},"#, 1), true, "a newer producer may add members"),
        (event.replace(r#""version":2"#, r#""version":2,"version":3"#), false, "which of the two counts?"),
        (event.replace(r#""version":2"#, r#""version":8"#), false, "a version beyond the position"),
        (event.replace(r#""version":2"#, r#""version":1"#), false, "only a create has version 1"),
        (event.replace(r#""version":2"#, r#""version":-2"#), false, "a negative version"),
        (event.replace("0000000000000000007", "7"), false, "a position has 19 digits"),
        (event.replace("0000000000000000007", "0000000000000000000"), false, "positions begin at 1"),
        (event.replace("urn:parking:slot:1", "urn:parking:slot:2"), false, "another form of data"),
        (event.replace(".000001Z", ".0000015Z"), false, "finer than databases store"),
    ];

    for (json, fits, reason) in cases {
        assert_eq!(LoggedEvent::decode(&json).is_ok(), fits, "{reason}: {json}");
    }
}
