//! Values for property tests.

use jiff::Timestamp;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
};
use shared::{
    messages::event::LoggedEvent,
    position::Position,
    slot::{Changed, Slot, SlotEvent, SlotName, SlotStatus, Version},
};
use uuid::Uuid;

/// Texts near the rules of names: blanks around, marks that combine or not, what NFC takes apart, controls, anything.
pub(crate) fn near_name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-zA-Z0-9 ]".prop_map(String::from),
        2 => prop_oneof![Just("e\u{301}"), Just("\u{e9}"), Just("\u{958}"), Just("\u{1100}\u{1161}"), Just("\u{212b}")]
            .prop_map(String::from),
        2 => prop_oneof![Just(" "), Just("\u{a0}"), Just("\u{2000}"), Just("\u{3000}"), Just("\u{200b}")]
            .prop_map(String::from),
        1 => prop_oneof![Just("\0"), Just("\n"), Just("\u{7f}"), Just("\u{85}")].prop_map(String::from),
        2 => any::<char>().prop_map(String::from),
    ];
    prop_oneof![4 => vec(piece.clone(), 0..12), 1 => vec(piece, 190..215)].prop_map(|pieces| pieces.concat())
}

/// Names, short ones and such that need as many bytes of JSON as a name can.
pub(crate) fn name() -> impl Strategy<Value = SlotName> {
    let text = prop_oneof![
        4 => "[a-zA-Z0-9\"\\\\/ é😀]{1,20}",
        1 => "[\u{10000}-\u{10fff}]{200}",
        1 => "[\"\\\\]{200}",
    ];
    text.prop_filter_map("not a name", |text| SlotName::parse(&text).ok())
}

/// Any status.
pub(crate) fn status() -> impl Strategy<Value = SlotStatus> {
    proptest::sample::select(SlotStatus::ALL.to_vec())
}

/// Times as commits have them: whole microseconds.
pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_102_444_800_000_000_i64)
        .prop_filter_map("not a time", |micros| Timestamp::from_microsecond(micros).ok())
}

/// A v4-like uuid from any bytes.
pub(crate) fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

/// A position of any size.
pub(crate) fn position() -> impl Strategy<Value = Position> {
    prop_oneof![3 => 1..10_000_i64, 1 => 1..i64::MAX].prop_filter_map("not a position", Position::new)
}

/// Any event that a log could hold at `position`.
pub(crate) fn logged_event_at(position: Position) -> impl Strategy<Value = LoggedEvent> {
    let traceparent = option::of("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]");
    let identity = (uuid(), uuid(), uuid(), traceparent);
    (identity, slot_event(position), time(), time()).prop_map(move |(identity, event, one, other)| {
        let (id, epoch, _, traceparent) = identity;
        let committed_at = one.max(other);
        let created_at = match event {
            SlotEvent::Updated { .. } => one.min(other),
            SlotEvent::Created(_) | SlotEvent::Deleted { .. } => committed_at,
        };
        LoggedEvent { position, id, epoch, committed_at, created_at, traceparent, event }
    })
}

/// Any event that a log could hold.
pub(crate) fn logged_event() -> impl Strategy<Value = LoggedEvent> {
    position().prop_flat_map(logged_event_at)
}

fn slot_event(position: Position) -> impl Strategy<Value = SlotEvent> {
    let versions = 2..=position.get().max(2);
    let changed = proptest::sample::select(vec![Changed::Name, Changed::Status, Changed::NameAndStatus]);
    let kind = if position.get() == 1 { 0..1 } else { 0..3_u8 };
    (kind, uuid(), name(), status(), versions, changed).prop_map(
        |(kind, uuid, name, status, version, changed)| {
            let later = Version::new(version).unwrap_or(Version::FIRST);
            let slot = |version| Slot { uuid, name: name.clone(), status, version };
            match kind {
                0 => SlotEvent::Created(slot(Version::FIRST)),
                1 => SlotEvent::Updated { slot: slot(later), changed },
                _ => SlotEvent::Deleted { uuid, version: later },
            }
        },
    )
}
