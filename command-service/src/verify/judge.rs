//! What must be on the replica, and whether it is: pure, no I/O.

use uuid::Uuid;

use super::difference::{Found, Kind, SlotDifference, State};

/// What the log says of a slot on a replica that has settled certain positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The highest version among its events that were settled and not set aside.
    pub due: State,
    /// Higher versions, rising, whose events were set aside, with their positions. Each may have been applied after all:
    /// sent again, or by an earlier repair.
    pub set_aside: Vec<(i64, State)>,
}

/// Says what is wrong with a slot, if anything is.
#[must_use]
pub fn judge(uuid: Uuid, expected: &Expected, found: Found) -> Option<SlotDifference> {
    let newest = expected.set_aside.last().map_or(&expected.due, |(_, state)| state);
    if newest.is(&found) {
        return None;
    }
    let states = std::iter::once(&expected.due).chain(expected.set_aside.iter().map(|(_, state)| state));
    // What was found is an older state, and the one after it was set aside.
    let lacking = states.zip(&expected.set_aside).find(|(state, _)| state.is(&found));
    Some(match lacking {
        Some((_, (position, state))) => SlotDifference {
            uuid,
            kind: Kind::SetAside,
            found,
            expected: state.clone(),
            position: Some(*position),
            letter: None,
        },
        None => {
            let kind = kind_of(&expected.due, &found);
            SlotDifference { uuid, kind, found, expected: expected.due.clone(), position: None, letter: None }
        }
    })
}

fn kind_of(expected: &State, found: &Found) -> Kind {
    match (expected, &found.slot) {
        (State::Live(row), Some(slot)) if row == slot => Kind::Tombstone,
        (State::Live(_), Some(_)) => Kind::Differs,
        (State::Live(_), None) if found.tombstone.is_some() => Kind::Tombstone,
        (State::Live(_), None) => Kind::Missing,
        (State::Deleted(_) | State::Never, Some(_)) => Kind::Invented,
        (State::Deleted(_) | State::Never, None) => Kind::Tombstone,
    }
}
