//! Decides a batch of commands in memory, in the order of arrival. Positions and times are not known yet: the commit
//! assigns them, and [`Draft::verdicts`] fills them in.

mod state;
mod joining;
mod verdict;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use shared::{
    position::Position,
    slot::{self, Command, CreateSlot, Rejection, Slot, SlotEvent, Version},
};
use uuid::Uuid;

use self::{
    joining::Joining,
    state::{Decided, DraftState, MadeBy},
};
pub use self::{
    state::{Stamps, StoredSlot},
    verdict::Verdict,
};
use super::idempotency_keys::{DraftKey, Keys};
use crate::{
    commands::{Commands, Submission},
    register::place::Sighting,
};

/// The slots to which a batch refers.
#[derive(Debug, Default)]
pub struct Slots {
    /// The slots that this batch has locked.
    pub locked: HashMap<Uuid, StoredSlot>,
    /// Slots that exist, but that another transaction holds.
    pub held: HashSet<Uuid>,
}

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct DraftEvent {
    /// Its identity; the event keeps it when the batch runs again.
    pub id: Uuid,
    /// What happened.
    pub event: SlotEvent,
    /// When the slot was created; `None` if this event creates it.
    pub created_at: Option<Timestamp>,
    /// The caller's trace context.
    pub traceparent: Option<String>,
    /// Whether this is the batch's last event of its slot.
    pub is_last_of_slot: bool,
}

/// A batch, decided but not committed.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The events to append, in order.
    pub events: Vec<DraftEvent>,
    /// The keys to keep with the batch.
    pub keys: Vec<DraftKey>,
    /// The slot versions on which the decisions rest. On other versions, running it again makes a different batch.
    pub bases: BTreeMap<Uuid, Base>,
    decided: Vec<Decided>,
}

/// The version of a slot on which a decision rests, and the position of the event that made the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The slot's version.
    pub version: Version,
    /// The position of the event that made it.
    pub position: Position,
}

impl Draft {
    /// Decides the commands one after the other. On slots that existed before the batch, each command sees the effects
    /// of the commands before it.
    #[must_use]
    pub fn decide(submissions: &[&Submission], slots: &Slots, keys: &Keys) -> Self {
        let mut states: HashMap<Uuid, DraftState> =
            slots.locked.iter().map(|(uuid, stored)| (*uuid, DraftState::before(stored))).collect();
        let mut joining = Joining::new(keys);
        let mut draft = Self::default();
        for (number, submission) in submissions.iter().enumerate() {
            let decided = joining.known(submission, &draft.decided).unwrap_or_else(|| {
                let decided = draft.decide_one(submission, slots, &mut states);
                if let Some(key) = &submission.key {
                    joining.note(key, number);
                    draft.keys.extend(decided.kept_at().map(|at| DraftKey { key: key.clone(), at }));
                    draft.rest_on(submission.request.existing_slot(), slots);
                }
                decided
            });
            draft.decided.push(decided);
        }
        draft.mark_last_events();
        let changed: Vec<Uuid> = draft.events.iter().map(|event| event.event.uuid()).collect();
        changed.into_iter().for_each(|uuid| draft.rest_on(Some(uuid), slots));
        draft
    }

    fn rest_on(&mut self, uuid: Option<Uuid>, slots: &Slots) {
        if let Some((uuid, stored)) = uuid.and_then(|uuid| slots.locked.get_key_value(&uuid)) {
            let base = Base { version: stored.record.slot.version, position: stored.receipt.last };
            self.bases.insert(*uuid, base);
        }
    }

    /// Whether the batch has nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.keys.is_empty()
    }

    fn decide_one(
        &mut self,
        submission: &Submission,
        slots: &Slots,
        states: &mut HashMap<Uuid, DraftState>,
    ) -> Decided {
        match &submission.request {
            Commands::One(command) => {
                self.decide_command(command, submission.traceparent.as_ref(), slots, states)
            }
            Commands::CreateAll(creates) => self.decide_creates(creates, submission.traceparent.as_ref()),
        }
    }

    /// Creates new slots; no rule can reject this.
    fn decide_creates(&mut self, creates: &[CreateSlot], traceparent: Option<&String>) -> Decided {
        let first_event = self.events.len();
        let slots: Vec<Slot> = creates.iter().map(slot::created).collect();
        for slot in &slots {
            self.append(SlotEvent::Created(slot.clone()), None, traceparent);
        }
        Decided::AllCreated { slots, first_event }
    }

    fn decide_command(
        &mut self,
        command: &Command,
        traceparent: Option<&String>,
        slots: &Slots,
        states: &mut HashMap<Uuid, DraftState>,
    ) -> Decided {
        let existing = command.existing_slot();
        if existing.is_some_and(|uuid| slots.held.contains(&uuid)) {
            return Decided::Held;
        }
        let before = existing.and_then(|uuid| states.get(&uuid));
        let event = match slot::decide(before.map(|state| &state.slot), command) {
            Err(rejection) => return Decided::rejected(rejection, before),
            Ok(Some(event)) => event,
            Ok(None) => {
                return before
                    .map_or(Decided::Rejected(Rejection::NotFound), |s| Decided::Updated(s.clone()));
            }
        };
        let created_at = before.and_then(|state| state.created_at);
        let after = slot::evolve(&event).cloned();
        let (uuid, version) = (event.uuid(), event.version());
        let number = self.append(event, created_at, traceparent);
        match after {
            Some(slot) => {
                let state = DraftState { slot, created_at, made_by: MadeBy::Event(number) };
                // Other commands of the batch do not see a slot that it creates: no caller knows the slot yet.
                if existing.is_some() {
                    states.insert(uuid, state.clone());
                }
                if existing.is_some() { Decided::Updated(state) } else { Decided::Created(state) }
            }
            None => {
                states.remove(&uuid);
                Decided::Deleted { event: number, version }
            }
        }
    }

    fn append(
        &mut self,
        event: SlotEvent,
        created_at: Option<Timestamp>,
        traceparent: Option<&String>,
    ) -> usize {
        self.events.push(DraftEvent {
            id: Uuid::now_v7(),
            event,
            created_at,
            traceparent: traceparent.cloned(),
            is_last_of_slot: false,
        });
        self.events.len() - 1
    }

    fn mark_last_events(&mut self) {
        let mut seen = HashSet::new();
        for event in self.events.iter_mut().rev() {
            event.is_last_of_slot = seen.insert(event.event.uuid());
        }
    }

    /// The batch's last event, after the commit placed the first event at `stamps`.
    #[must_use]
    pub fn last_event(&self, stamps: Stamps) -> Option<Sighting> {
        let last = self.events.len().checked_sub(1)?;
        let (position, committed_at) = (stamps.position_of(last).get(), stamps.time_of(last));
        Some(Sighting { epoch: stamps.epoch, position, committed_at })
    }

    /// The verdict on each command. `stamps` are those of the first event; `None` if the batch committed no events.
    #[must_use]
    pub fn verdicts(&self, stamps: Option<Stamps>) -> Vec<Verdict> {
        let verdict = |decided: &Decided| match decided {
            Decided::Joined(first) => self.decided[*first].verdict(stamps).again(),
            other => other.verdict(stamps),
        };
        self.decided.iter().map(verdict).collect()
    }
}
