//! Differences as JSON objects.

use serde_json::{Value, json};
use shared::time;

use crate::verify::{
    difference::{Difference, Flaw, FoundSlot, SlotDifference, SlotRow, Tombstone, WriteRow},
    report::Finding,
};

/// The difference and, if repairs were requested, whether it is healed.
pub(super) fn as_json(finding: &Finding, repaired: bool) -> Value {
    let mut object = match &finding.difference {
        Difference::Slot(slot) => slot_as_json(slot),
        Difference::Summary { found, expected } => json!({ "found": found, "expected": expected }),
        Difference::Reach { found, end } => json!({ "claimed_position": found, "log_end": end }),
        Difference::AsOf { found, latest } => {
            json!({ "claimed_as_of": time::format(*found), "latest_as_of": latest.map(time::format) })
        }
        Difference::WriteModel { uuid, found, expected } => {
            let row = |row: Option<&WriteRow>| {
                row.map(|WriteRow { row, position }| {
                    let mut object = row_as_json(row);
                    object["position"] = json!(position);
                    object
                })
            };
            json!({ "uuid": uuid, "found": row(found.as_deref()), "expected": row(expected.as_deref()) })
        }
        Difference::Log { position, flaw } => {
            let flaw = match flaw {
                Flaw::Gap => "gap",
                Flaw::Time => "time",
                Flaw::Version => "version",
            };
            json!({ "position": position, "flaw": flaw })
        }
    };
    object["kind"] = json!(finding.difference.kind().as_str());
    if repaired {
        object["healed"] = json!(finding.healed);
    }
    object
}

fn slot_as_json(difference: &SlotDifference) -> Value {
    let SlotDifference { uuid, found, expected, position, dead_letter, .. } = difference;
    let FoundSlot { slot, tombstone, has_false_document, .. } = found;
    let (due, due_tombstone) = expected.parts();
    json!({
        "uuid": uuid,
        "found": state_as_json(slot.as_ref(), tombstone.as_ref()),
        "false_document": has_false_document,
        "expected": state_as_json(due, due_tombstone),
        "position": position,
        "dead_letter": dead_letter,
    })
}

fn state_as_json(slot: Option<&SlotRow>, tombstone: Option<&Tombstone>) -> Value {
    let tombstone = tombstone.map(|Tombstone { version, deleted_at }| {
        json!({ "version": version, "deleted_at": deleted_at.map(time::format) })
    });
    json!({ "slot": slot.map(row_as_json), "tombstone": tombstone })
}

fn row_as_json(row: &SlotRow) -> Value {
    json!({
        "version": row.version.get(),
        "status": row.status.as_str(),
        "name": row.name.as_str(),
        "created_at": row.created_at.map(time::format),
        "updated_at": row.updated_at.map(time::format),
    })
}
