//! What is wrong with a slot, by itself.

use command_service::verify::{
    difference::{FoundSlot, Kind, SlotRow, SlotState, Tombstone},
    judge::{Expected, judge},
};
use jiff::Timestamp;
use shared::{
    messages::repair::{RowWriters, Target},
    slot::{SlotName, SlotStatus, Version},
};
use uuid::Uuid;

fn at(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

fn row(version: i64, name: &str) -> SlotRow {
    SlotRow {
        version: Version::new(version).expect("a version"),
        status: SlotStatus::Available,
        name: SlotName::parse(name).expect("a name"),
        created_at: at(1),
        updated_at: at(version),
    }
}

fn tombstone(version: i64) -> Tombstone {
    Tombstone { version, deleted_at: at(version) }
}

fn live(version: i64) -> SlotState {
    SlotState::Live(row(version, "Slot"))
}

fn deleted(version: i64) -> SlotState {
    SlotState::Deleted(tombstone(version))
}

fn found(slot: Option<SlotRow>, tombstone: Option<Tombstone>) -> FoundSlot {
    let writers = RowWriters { slot: slot.as_ref().map(|_| 7), tombstone: tombstone.as_ref().map(|_| 8) };
    FoundSlot { slot, tombstone, has_false_document: false, writers }
}

#[test]
fn what_is_as_it_must_be_is_right_and_all_else_has_a_name() {
    let slot = || Some(row(2, "Slot"));
    let grave = |version| Some(tombstone(version));
    let cases: [(SlotState, FoundSlot, Option<Kind>, &str); 19] = [
        (SlotState::Never, found(None, None), None, "nothing was, nothing is"),
        (live(2), found(slot(), None), None, "the row"),
        (deleted(3), found(None, grave(3)), None, "the tombstone"),
        (
            live(2),
            FoundSlot { has_false_document: true, ..found(slot(), None) },
            Some(Kind::Differs),
            "a document of something else",
        ),
        (
            deleted(3),
            FoundSlot { has_false_document: true, ..found(slot(), grave(3)) },
            Some(Kind::Invented),
            "a row that must not be, whatever its document",
        ),
        (live(2), found(Some(row(2, "Other")), None), Some(Kind::Differs), "another name"),
        (live(2), found(Some(row(1, "Slot")), None), Some(Kind::Differs), "an older version"),
        (live(2), found(Some(row(3, "Slot")), None), Some(Kind::Differs), "a version that never was"),
        (
            live(2),
            found(Some(SlotRow { updated_at: None, ..row(2, "Slot") }), None),
            Some(Kind::Differs),
            "a time that no log has",
        ),
        (live(2), found(None, None), Some(Kind::Missing), "no row"),
        (live(2), found(None, grave(2)), Some(Kind::Tombstone), "buried alive"),
        (live(2), found(slot(), grave(1)), Some(Kind::Tombstone), "a tombstone beside the row"),
        (live(2), found(Some(row(2, "Other")), grave(9)), Some(Kind::Differs), "both are wrong"),
        (deleted(3), found(slot(), grave(3)), Some(Kind::Invented), "a row beside its tombstone"),
        (deleted(3), found(slot(), None), Some(Kind::Invented), "not deleted"),
        (deleted(3), found(None, None), Some(Kind::Tombstone), "no tombstone"),
        (deleted(3), found(None, grave(2)), Some(Kind::Tombstone), "another tombstone"),
        (SlotState::Never, found(slot(), None), Some(Kind::Invented), "a row of nothing"),
        (SlotState::Never, found(None, grave(1)), Some(Kind::Tombstone), "a tombstone of nothing"),
    ];

    for (due, found, kind, reason) in cases {
        let expected = Expected { due: due.clone(), dead_lettered: Vec::new() };

        let difference = judge(Uuid::max(), &expected, found.clone());

        assert_eq!(difference.as_ref().map(|difference| difference.kind), kind, "{reason}");
        let Some(difference) = difference else { continue };
        let repair = difference.repair().expect(reason);
        assert_eq!((difference.expected, repair.found), (due.clone(), found.writers), "{reason}");
        let fits = match (&due, &repair.target) {
            (SlotState::Never, Target::Absent) => true,
            (SlotState::Live(row), Target::Live { slot, updated_at, .. }) => {
                (row.version, row.updated_at) == (slot.version, Some(*updated_at)) && slot.uuid == Uuid::max()
            }
            (SlotState::Deleted(tombstone), Target::Deleted { version, .. }) => {
                tombstone.version == version.get()
            }
            _ => false,
        };
        assert!(fits, "{reason}: {:?}", repair.target);
    }
}

#[test]
fn what_was_set_aside_may_be_there_or_not_but_nothing_else() {
    let expected = Expected { due: live(2), dead_lettered: vec![(30, live(3)), (40, deleted(4))] };
    let cases = [
        (found(None, Some(tombstone(4))), None, None, "applied after all"),
        (found(Some(row(2, "Slot")), None), Some(Kind::DeadLettered), Some(30), "neither was applied"),
        (
            found(Some(row(3, "Slot")), None),
            Some(Kind::DeadLettered),
            Some(40),
            "the first one was applied after all",
        ),
        (found(Some(row(1, "Slot")), None), Some(Kind::Differs), None, "that is no letter's fault"),
        (found(None, None), Some(Kind::Missing), None, "nor is that"),
    ];

    for (found, kind, position, reason) in cases {
        let difference = judge(Uuid::max(), &expected, found);

        assert_eq!(difference.as_ref().map(|difference| difference.kind), kind, "{reason}");
        let Some(difference) = difference else { continue };
        assert_eq!(difference.position, position, "{reason}");
        assert_eq!(difference.repair().is_none(), kind == Some(Kind::DeadLettered), "{reason}");
        if kind != Some(Kind::DeadLettered) {
            assert_eq!(
                difference.expected,
                live(2),
                "what the replica refused is not sent to it again: {reason}"
            );
        }
    }
}
