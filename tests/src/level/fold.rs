//! What a log makes of an empty register, worked out without any code of the services.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use anyhow::{Context, Result, bail, ensure};
use uuid::Uuid;

use super::rows::{EventRow, PrimaryRow, Tombstone};

/// A slot during the fold.
enum State {
    Standing(PrimaryRow),
    Deleted(Tombstone),
}

/// Checks that positions are gapless from 1, that commit times rise strictly with them, that event ids are unique,
/// that each slot's versions rise by one and its life is create, changes, delete; and returns the slots that stand at
/// the end and the tombstones, each in order of uuid.
///
/// # Errors
/// The first event that breaks a rule.
pub fn fold(events: &[EventRow]) -> Result<(Vec<PrimaryRow>, Vec<Tombstone>)> {
    let mut slots: BTreeMap<Uuid, State> = BTreeMap::new();
    let mut ids = HashSet::new();
    let mut previous: Option<&EventRow> = None;
    for (event, position) in events.iter().zip(1..) {
        ensure!(
            event.position == position,
            "position {position} was expected, and {} follows",
            event.position
        );
        if let Some(previous) = previous {
            ensure!(
                previous.committed_at < event.committed_at,
                "position {position} was committed at {}, not after the one before it at {}",
                event.committed_at,
                previous.committed_at
            );
        }
        ensure!(ids.insert(event.id), "position {position} has an id that was there before");
        apply(&mut slots, event).with_context(|| format!("position {position}: {event:?}"))?;
        previous = Some(event);
    }
    let (mut standing, mut deleted) = (Vec::new(), Vec::new());
    for state in slots.into_values() {
        match state {
            State::Standing(slot) => standing.push(slot),
            State::Deleted(tombstone) => deleted.push(tombstone),
        }
    }
    Ok((standing, deleted))
}

fn apply(slots: &mut BTreeMap<Uuid, State>, event: &EventRow) -> Result<()> {
    match (slots.entry(event.slot_uuid), event.kind.as_str()) {
        (Entry::Vacant(place), "parking.create") => {
            ensure!(event.version == 1, "a create has another version than 1");
            ensure!(event.created_at == event.committed_at, "a create was not created when it was committed");
            place.insert(State::Standing(row(event)?));
        }
        (Entry::Occupied(mut place), "parking.update") => {
            let State::Standing(before) = place.get() else {
                bail!("a deleted slot was changed");
            };
            let after = row(event)?;
            check_step(before, event)?;
            ensure!(
                event.changed.as_deref() == changed(before, &after),
                "it does not say what changed from {before:?}"
            );
            place.insert(State::Standing(after));
        }
        (Entry::Occupied(mut place), "parking.delete") => {
            let State::Standing(before) = place.get() else {
                bail!("a deleted slot was deleted again");
            };
            check_step(before, event)?;
            place.insert(State::Deleted(Tombstone {
                uuid: event.slot_uuid,
                version: event.version,
                deleted_at: event.committed_at,
            }));
        }
        (Entry::Occupied(_), _) => bail!("a slot was created twice"),
        (Entry::Vacant(_), _) => bail!("it happened to a slot that was never created"),
    }
    Ok(())
}

fn check_step(before: &PrimaryRow, event: &EventRow) -> Result<()> {
    ensure!(
        event.version == before.version + 1,
        "version {} follows version {}",
        event.version,
        before.version
    );
    ensure!(event.created_at == before.created_at, "the slot was created at {}", before.created_at);
    Ok(())
}

fn row(event: &EventRow) -> Result<PrimaryRow> {
    Ok(PrimaryRow {
        uuid: event.slot_uuid,
        name: event.name.clone().context("it has no name")?,
        status: event.status.clone().context("it has no status")?,
        version: event.version,
        position: event.position,
        created_at: event.created_at,
        updated_at: event.committed_at,
    })
}

fn changed(before: &PrimaryRow, after: &PrimaryRow) -> Option<&'static str> {
    match (before.name != after.name, before.status != after.status) {
        (true, true) => Some("name,status"),
        (true, false) => Some("name"),
        (false, true) => Some("status"),
        (false, false) => None,
    }
}
