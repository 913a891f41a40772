//! Events grouped into messages.

use command_service::relay::messages::{Message, group};
use proptest::{prelude::Strategy, prop_assert, prop_assert_eq, proptest};
use shared::{
    messages::{
        event::{EventType, LoggedEvent},
        wire::{MESSAGE_MAX_BYTES, MESSAGE_MAX_EVENTS, split_batch},
    },
    position::Position,
};

use crate::strategies::logged_event_at;

/// What the relay takes from the log in one go: consecutive positions.
fn taken(count: std::ops::Range<i64>) -> impl Strategy<Value = Vec<LoggedEvent>> {
    (1..1_000_000_i64, count).prop_flat_map(|(first, count)| {
        let positions = (first..first + count).filter_map(Position::new);
        positions.map(logged_event_at).collect::<Vec<_>>()
    })
}

fn read(message: &Message) -> Vec<LoggedEvent> {
    let events = split_batch(&message.body).expect("a JSON array");
    events.iter().map(|json| LoggedEvent::decode(json.get()).expect("an event")).collect()
}

fn check(events: &[LoggedEvent]) -> Result<(), proptest::test_runner::TestCaseError> {
    let messages = group(events);

    for kind in EventType::ALL {
        let of_kind = events.iter().filter(|event| EventType::of(&event.event) == kind);
        let grouped = messages.iter().filter(|message| message.kind == kind).flat_map(read);
        prop_assert!(
            grouped.eq(of_kind.cloned()),
            "each event of {} is in exactly one message of its kind, in the order of the log",
            kind.as_str()
        );
    }
    for message in &messages {
        let positions: Vec<Position> = read(message).iter().map(|event| event.position).collect();
        prop_assert_eq!(positions.len(), message.count);
        prop_assert!((1..=MESSAGE_MAX_EVENTS).contains(&message.count), "{} events", message.count);
        prop_assert_eq!(positions.first(), Some(&message.first));
        prop_assert_eq!(positions.last(), Some(&message.last));
        let fits = message.body.len() <= MESSAGE_MAX_BYTES || message.count == 1;
        prop_assert!(fits, "{} events in {} bytes", message.count, message.body.len());
        prop_assert_eq!(message.id(), format!("{}-{}/{}", message.first, message.last, message.count));
    }
    for pair in messages.windows(2).filter(|pair| pair[0].kind == pair[1].kind) {
        let next = serde_json::to_string(&split_batch(&pair[1].body).expect("an array")[0]).expect("JSON");
        let full =
            pair[0].count == MESSAGE_MAX_EVENTS || pair[0].body.len() + 1 + next.len() > MESSAGE_MAX_BYTES;
        prop_assert!(full, "a message was begun though the one before it had room");
    }
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn every_event_is_in_one_message_of_its_kind_within_the_bounds(events in taken(0..120)) {
        check(&events)?;
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(4))]

    #[test]
    fn bounds_hold_for_as_many_events_as_the_relay_takes(events in taken(1000..1025)) {
        check(&events)?;
    }
}

#[test]
fn nothing_makes_no_message_and_one_event_is_alone() {
    assert!(group(&[]).is_empty(), "no events, no messages");
}
