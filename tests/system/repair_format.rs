//! The form of repairs on the wire.

use jiff::Timestamp;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq, proptest, sample,
};
use serde_json::{Value, json};
use shared::{
    messages::{
        repair::{REPAIR_MAX_SLOTS, Repair, RowWriters, SlotRepair, Target},
        wire::MESSAGE_MAX_BYTES,
    },
    slot::{Slot, Version},
};
use uuid::Uuid;

use crate::strategies::{name, status, time, uuid};

fn target(uuid: Uuid) -> impl Strategy<Value = Target> {
    let live = (name(), status(), 1..i64::MAX, time(), time()).prop_map(
        move |(name, status, version, one, other): (_, _, i64, Timestamp, Timestamp)| {
            let version = Version::new(version).unwrap_or(Version::FIRST);
            let updated_at = one.max(other);
            let created_at = if version == Version::FIRST { updated_at } else { one.min(other) };
            Target::Live { slot: Slot { uuid, name, status, version }, created_at, updated_at }
        },
    );
    let deleted = (2..i64::MAX, time()).prop_filter_map("not a version", |(version, deleted_at)| {
        Some(Target::Deleted { version: Version::new(version)?, deleted_at })
    });
    prop_oneof![4 => live, 1 => deleted, 1 => Just(Target::Absent)]
}

fn slot_repair() -> impl Strategy<Value = SlotRepair> {
    let writer = || option::of(0..=i64::from(u32::MAX));
    uuid().prop_flat_map(move |uuid| {
        (writer(), writer(), target(uuid)).prop_map(move |(slot, tombstone, target)| SlotRepair {
            uuid,
            found: RowWriters { slot, tombstone },
            target,
        })
    })
}

proptest! {
    #[test]
    fn what_is_said_in_messages_is_what_is_read_in_them(
        epoch in uuid(),
        slots in vec(slot_repair(), 0..600),
        slots_max in sample::select(vec![1, 16, 256, 1000]),
    ) {
        let repair = Repair::of_slots(epoch, slots);

        let bodies = repair.encode(slots_max);

        let mut read = Vec::new();
        for body in &bodies {
            let one = Repair::decode(body).expect("a repair");
            prop_assert!(body.len() <= MESSAGE_MAX_BYTES, "{} bytes", body.len());
            prop_assert!(!one.slots.is_empty() && one.slots.len() <= slots_max.min(REPAIR_MAX_SLOTS));
            prop_assert_eq!((one.epoch, one.summary), (epoch, false));
            read.extend(one.slots);
        }
        prop_assert_eq!(read, repair.slots);
    }

    #[test]
    fn whatever_is_read_as_a_repair_can_be_said_again(
        slots in vec(slot_repair(), 1..3),
        place in any::<sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bodies = Repair::of_slots(Uuid::nil(), slots).encode(REPAIR_MAX_SLOTS);
        let body = &mut bodies[0];
        let length = body.len();
        body[place.index(length)] = byte;

        if let Ok(repair) = Repair::decode(body) {
            let again = repair.encode(REPAIR_MAX_SLOTS);
            prop_assert_eq!(Repair::decode(&again[0]).expect("a repair"), repair);
        }
    }
}

#[test]
fn a_repair_of_the_summary_is_one_message() {
    let repair = Repair::of_summary(Uuid::max());

    let bodies = repair.encode(1);

    assert_eq!(bodies.len(), 1);
    assert_eq!(Repair::decode(&bodies[0]).expect("a repair"), repair);
}

fn sound() -> Value {
    json!({
        "epoch": "00000000-0000-0000-0000-000000000001",
        "slots": [
            {"uuid": "00000000-0000-0000-0000-000000000002", "found": {"slot": 741, "tombstone": null},
             "target": {"slot": {"name": "Slot 1", "status": "blocked", "version": 2,
                                 "created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-02T00:00:00.000000Z"}}},
            {"uuid": "00000000-0000-0000-0000-000000000003", "found": {"slot": null, "tombstone": 742},
             "target": {"deleted": {"version": 2, "deleted_at": "2026-01-01T00:00:00.000000Z"}}},
            {"uuid": "00000000-0000-0000-0000-000000000004", "found": {"slot": null, "tombstone": null},
             "target": "absent"},
        ],
    })
}

#[test]
fn a_repair_that_breaks_a_rule_is_refused_by_its_name() {
    let cases: [(&str, Value, &str, &str); 14] = [
        ("/epoch", json!("main"), "UUID", "no epoch"),
        ("/slots", json!("all"), "expected a sequence", "no list"),
        ("/slots/0/target/slot/name", json!(" Slot 1"), "slot.name", "a name that is not trimmed"),
        ("/slots/0/target/slot/name", json!("e\u{301}"), "slot.name", "a name that is not in NFC"),
        ("/slots/0/target/slot/name", json!(""), "slot.name", "no name"),
        ("/slots/0/target/slot/status", json!("flying"), "slot.status", "no status"),
        ("/slots/0/target/slot/version", json!(0), "slot.version", "no version"),
        ("/slots/0/target/slot/version", json!(1), "slot.created_at", "a first version that was changed"),
        (
            "/slots/0/target/slot/created_at",
            json!("2026-01-03T00:00:00Z"),
            "slot.created_at",
            "changed before it was",
        ),
        (
            "/slots/0/target/slot/created_at",
            json!("2026-01-01T00:00:00.0000001Z"),
            "microseconds",
            "too fine a time",
        ),
        ("/slots/1/target/deleted/version", json!(1), "deleted.version", "a create that deletes"),
        ("/slots/2/target", json!("gone"), "unknown variant", "another target"),
        (
            "/slots/2/uuid",
            json!("00000000-0000-0000-0000-000000000003"),
            "named twice",
            "one slot, two targets",
        ),
        (
            "/slots/2/found",
            json!({"slot": 1, "version": 3}),
            "unknown field",
            "a condition that nobody knows",
        ),
    ];
    assert!(Repair::decode(sound().to_string().as_bytes()).is_ok(), "what is broken below is sound");

    for (pointer, value, named, reason) in cases {
        let mut broken = sound();
        *broken.pointer_mut(pointer).expect(pointer) = value;

        let error = Repair::decode(broken.to_string().as_bytes()).expect_err(reason).to_string();

        assert!(error.contains(named), "{reason}: {error}");
    }
}

#[test]
fn a_repair_of_too_many_slots_is_refused() {
    let slot = |number: u128| json!({ "uuid": Uuid::from_u128(number), "found": {}, "target": "absent" });
    let of = |count: u128| {
        let slots: Vec<Value> = (1..=count).map(slot).collect();
        Repair::decode(json!({ "epoch": Uuid::nil(), "slots": slots }).to_string().as_bytes())
    };

    assert_eq!(of(256).expect("a repair").slots.len(), REPAIR_MAX_SLOTS);
    assert!(of(257).expect_err("too many").to_string().contains("too many"));
}
