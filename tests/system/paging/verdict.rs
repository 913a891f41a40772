//! What a walk must have shown, told by the log.
//!
//! The list promises that no slot appears behind a cursor that was given out. So a walk shows every slot that was
//! visible before its first page, and every slot that stands before one of its cursors, unless the slot was deleted
//! before the walk was over. With a filter the same holds of the slots that passed it all the time: one that passes
//! only after a change may stand behind the cursor by then, and one that passed only at first may be gone.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use system_tests::{Slot, level::EventRow};
use uuid::Uuid;

use super::walk::{Place, Walk, place_of};

/// How many checks were made, by kind. A kind that never occurred was not tested.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checks {
    /// Slots on pages that are as some event in effect at the time made them.
    pub(crate) shown: usize,
    /// Slots that were there throughout a walk, and were shown once.
    pub(crate) there_throughout: usize,
    /// Slots created after a walk began, before one of its cursors, and shown once.
    pub(crate) created_meanwhile: usize,
    /// Slots of a later walk that stand before a cursor of an earlier one, and were shown by that too.
    pub(crate) seen_again: usize,
}

/// The events of a slot, in order.
type Life<'e> = Vec<&'e EventRow>;

/// The lives of all slots that ever were.
pub(crate) struct Lives<'e>(HashMap<Uuid, Life<'e>>);

impl<'e> Lives<'e> {
    pub(crate) fn of(log: &'e [EventRow]) -> Self {
        let mut lives: HashMap<Uuid, Life<'e>> = HashMap::new();
        for event in log {
            lives.entry(event.slot_uuid).or_default().push(event);
        }
        Self(lives)
    }

    /// Whether a slot was deleted.
    pub(crate) fn has_ended(&self, uuid: Uuid) -> bool {
        self.0.get(&uuid).and_then(|life| life.last()).is_some_and(|last| last.name.is_none())
    }

    /// Checks one walk.
    pub(crate) fn check(&self, walk: &Walk, checks: &mut Checks) -> Result<()> {
        let shown = rising(walk)?;
        for slot in walk.slots() {
            self.check_shown(walk, slot)?;
            checks.shown += 1;
        }
        let reached = walk.given.last().map(|given| given.place);
        for life in self.0.values() {
            let there = life[0].position <= walk.applied_before;
            if !there && reached.is_none_or(|reached| place(life) > reached) {
                continue;
            }
            if !in_effect(life, walk).all(|event| passes(event, walk)) {
                continue;
            }
            ensure!(
                shown.contains(&life[0].slot_uuid),
                "{:?} was there ({}) and is on no page of {} slots; the walk began when {} was applied",
                life[0],
                if there { "throughout" } else { "before a cursor" },
                shown.len(),
                walk.applied_before,
            );
            let count = if there { &mut checks.there_throughout } else { &mut checks.created_meanwhile };
            *count += 1;
        }
        Ok(())
    }

    /// A slot is shown as it was at some time during the walk, and as one that passes the filter.
    fn check_shown(&self, walk: &Walk, slot: &Slot) -> Result<()> {
        let life = self.0.get(&slot.uuid).with_context(|| format!("nobody created {slot:?}"))?;
        let event = in_effect(life, walk).find(|event| event.version == slot.version);
        let event = event.with_context(|| format!("{slot:?} was not so during the walk"))?;
        let made = (event.name.as_ref(), event.status.as_ref(), event.created_at, event.committed_at);
        let shown = (Some(&slot.name), Some(&slot.status), slot.created_at, slot.updated_at);
        ensure!(shown == made, "{shown:?} is shown, and {made:?} was made");
        ensure!(passes(event, walk), "{slot:?} does not pass {:?}", walk.query);
        Ok(())
    }
}

/// The versions of a slot that can have been visible during the walk: the last one that was certainly visible before
/// it, and all that were written before its end.
fn in_effect<'l>(life: &'l Life<'_>, walk: &Walk) -> impl Iterator<Item = &'l EventRow> {
    let first = life.iter().rposition(|event| event.position <= walk.applied_before).unwrap_or(0);
    let logged_after = walk.logged_after;
    life[first..].iter().copied().take_while(move |event| event.position <= logged_after)
}

/// Whether what an event made passes the filter of a walk; what it removed does not.
fn passes(event: &EventRow, walk: &Walk) -> bool {
    let (Some(name), Some(status)) = (&event.name, &event.status) else { return false };
    walk.query.matches(name, status)
}

fn place(life: &Life<'_>) -> Place {
    (life[0].created_at, life[0].slot_uuid)
}

/// The slots of a walk, of which each stands behind the one before it: so none is shown twice.
fn rising(walk: &Walk) -> Result<HashSet<Uuid>> {
    let mut last: Option<Place> = None;
    for slot in walk.slots() {
        let place = place_of(slot);
        ensure!(last < Some(place), "{slot:?} comes after {last:?}");
        last = Some(place);
    }
    Ok(walk.slots().map(|slot| slot.uuid).collect())
}

/// Compares unfiltered walks with one another, whatever the log says: what a later walk shows before a place up to
/// which an earlier one had come, the earlier one showed too.
pub(crate) fn compare(walks: &[Walk], checks: &mut Checks) -> Result<()> {
    let whole: Vec<&Walk> = walks.iter().filter(|walk| !walk.query.is_filtered()).collect();
    for earlier in &whole {
        let Some(reached) = earlier.given.last().map(|given| given.place) else { continue };
        let shown: HashSet<Uuid> = earlier.slots().map(|slot| slot.uuid).collect();
        for later in whole.iter().filter(|later| later.started >= earlier.ended) {
            for slot in later.slots().take_while(|slot| place_of(slot) <= reached) {
                ensure!(shown.contains(&slot.uuid), "{slot:?} appeared behind a cursor at {reached:?}");
                checks.seen_again += 1;
            }
        }
    }
    Ok(())
}
