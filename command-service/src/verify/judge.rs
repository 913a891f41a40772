//! Judges whether a slot on the replica is what it must be: pure, no I/O.

use uuid::Uuid;

use super::difference::{FoundSlot, Kind, SlotDifference, SlotState};

/// What the log demands of a slot on a replica that has settled given positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The state of the highest version among its events that were settled and not dead-lettered.
    pub due: SlotState,
    /// Higher versions, rising, whose events were dead-lettered, with their positions. Each may have been
    /// applied since: by a retry, or by an earlier repair.
    pub dead_lettered: Vec<(i64, SlotState)>,
}

/// Returns what is wrong with a slot, if anything is.
#[must_use]
pub fn judge(uuid: Uuid, expected: &Expected, found: FoundSlot) -> Option<SlotDifference> {
    let newest = expected.dead_lettered.last().map_or(&expected.due, |(_, state)| state);
    if newest.is(&found) {
        return None;
    }
    let states = std::iter::once(&expected.due).chain(expected.dead_lettered.iter().map(|(_, state)| state));
    // The replica has an older state, and the event after that state was dead-lettered.
    let lacking = states.zip(&expected.dead_lettered).find(|(state, _)| state.is(&found));
    Some(match lacking {
        Some((_, (position, state))) => SlotDifference {
            uuid,
            kind: Kind::DeadLettered,
            found,
            expected: state.clone(),
            position: Some(*position),
            dead_letter: None,
        },
        None => {
            let kind = kind_of(&expected.due, &found);
            SlotDifference {
                uuid,
                kind,
                found,
                expected: expected.due.clone(),
                position: None,
                dead_letter: None,
            }
        }
    })
}

fn kind_of(expected: &SlotState, found: &FoundSlot) -> Kind {
    match (expected, &found.slot) {
        (SlotState::Live(row), Some(slot)) if row == slot && !found.has_false_document => Kind::Tombstone,
        (SlotState::Live(_), Some(_)) => Kind::Differs,
        (SlotState::Live(_), None) if found.tombstone.is_some() => Kind::Tombstone,
        (SlotState::Live(_), None) => Kind::Missing,
        (SlotState::Deleted(_) | SlotState::Never, Some(_)) => Kind::Invented,
        (SlotState::Deleted(_) | SlotState::Never, None) => Kind::Tombstone,
    }
}
