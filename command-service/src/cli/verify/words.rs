//! Differences in words: one line each, which cannot move the cursor of a terminal.

use jiff::Timestamp;
use shared::time;

use crate::verify::difference::{Counts, Difference, Flaw, SlotDifference, SlotRow, Tombstone, WriteRow};

/// The difference in words.
pub(super) fn described(difference: &Difference) -> String {
    match difference {
        Difference::Slot(slot) => slot_described(slot),
        Difference::Summary { found, expected } => {
            format!("it says {}, and counting gives {}", counts(found), counts(expected))
        }
        Difference::Reach { found, end } => {
            format!("it claims position {found}, and the log ends at {end}: run event-consumer rebuild")
        }
        Difference::AsOf { found, latest } => format!(
            "it claims to be complete as of {}, and the log says {} at the latest: run event-consumer rebuild",
            time::format(*found),
            latest.map_or_else(|| "nothing".to_owned(), time::format)
        ),
        Difference::WriteModel { uuid, found, expected } => {
            let (row, due) = (found.as_deref(), expected.as_deref());
            let times = row.zip(due).is_some_and(|(row, due)| same_but_times(&row.row, &due.row));
            let text = |row: Option<&WriteRow>| match row {
                None => "nothing".to_owned(),
                Some(WriteRow { row, position }) => {
                    format!("{} of position {position}", row_described(row, times))
                }
            };
            format!("{uuid} has {}, and the log says {}", text(row), text(due))
        }
        Difference::Log { position, flaw } => {
            let flaw = match flaw {
                Flaw::Gap => "does not follow the one before it: there is a gap",
                Flaw::Time => "was not committed after the one before it",
                Flaw::Version => "changes what no event before it has made",
            };
            format!("position {position} {flaw}")
        }
    }
}

fn slot_described(difference: &SlotDifference) -> String {
    let SlotDifference { uuid, found, expected, position, dead_letter, .. } = difference;
    let (slot, tombstone) = expected.parts();
    let times = found.slot.as_ref().zip(slot).is_some_and(|(row, due)| same_but_times(row, due))
        || found.tombstone.as_ref().zip(tombstone).is_some_and(|(one, due)| one.version == due.version);
    let mut has = state_described(found.slot.as_ref(), found.tombstone.as_ref(), times);
    if found.has_false_document {
        has.push_str(" with a document that says something else");
    }
    let should = state_described(slot, tombstone, times);
    let why = match (position, dead_letter) {
        (Some(position), Some(dead_letter)) => {
            format!(
                "; position {position} is dead letter {dead_letter}: event-consumer dead-letters retry {dead_letter}"
            )
        }
        (Some(position), None) => format!("; position {position} was a dead letter until just now"),
        (None, _) => String::new(),
    };
    format!("{uuid} has {has}, and should have {should}{why}")
}

fn same_but_times(one: &SlotRow, other: &SlotRow) -> bool {
    (one.version, one.status, &one.name) == (other.version, other.status, &other.name)
}

fn state_described(slot: Option<&SlotRow>, tombstone: Option<&Tombstone>, times: bool) -> String {
    let tombstone = tombstone.map(|Tombstone { version, deleted_at }| match times {
        true => format!("a tombstone of version {version}, deleted at {}", time(*deleted_at)),
        false => format!("a tombstone of version {version}"),
    });
    match (slot.map(|row| row_described(row, times)), tombstone) {
        (None, None) => "nothing".to_owned(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(row), Some(tombstone)) => format!("{row} and {tombstone}"),
    }
}

/// Escapes the name: a name written by hand could otherwise move the cursor of the terminal.
fn row_described(row: &SlotRow, times: bool) -> String {
    let SlotRow { version, status, name, created_at, updated_at } = row;
    let text = format!("version {version}, {status}, {:?}", name.as_str());
    match times {
        true => format!("{text}, created at {}, updated at {}", time(*created_at), time(*updated_at)),
        false => text,
    }
}

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "no time that a log can hold".to_owned(), time::format)
}

fn counts(counts: &Counts) -> String {
    let each: Vec<String> = counts.iter().map(|(status, slots)| format!("{slots} {status}")).collect();
    each.join(", ")
}
