//! What a batch of commands comes to, decided in memory in the order of arrival. Positions and times are not known
//! yet: the commit gives them, and [`Draft::verdicts`] puts them in.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use shared::{
    event::Position,
    slot::{self, Command, CreateSlot, Rejection, Slot, SlotEvent, Version},
};
use uuid::Uuid;

use crate::{
    commands::{Ask, Outcome, Refusal, Request},
    freshness::receipt::WriteReceipt,
    record::SlotRecord,
};

/// A slot as the primary holds it.
#[derive(Clone, Debug)]
pub struct StoredSlot {
    /// The slot with its times.
    pub record: SlotRecord,
    /// The receipt of the event that made this version.
    pub receipt: WriteReceipt,
}

/// The slots to which a batch refers.
#[derive(Debug, Default)]
pub struct Slots {
    /// Locked for this batch.
    pub locked: HashMap<Uuid, StoredSlot>,
    /// There, but held by somebody else.
    pub held: HashSet<Uuid>,
}

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct DraftEvent {
    /// Its identity; the same when the batch is run again.
    pub id: Uuid,
    /// What happened.
    pub event: SlotEvent,
    /// When the slot was created; `None` if by this very event.
    pub created_at: Option<Timestamp>,
    /// The caller's trace context.
    pub traceparent: Option<String>,
    /// Whether no later event of the batch is of the same slot.
    pub is_last_of_slot: bool,
}

/// Position and time of a batch's first event; each further event is one position and one microsecond later. And the
/// epoch in which the positions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// The first event's position.
    pub position: Position,
    /// The first event's commit time.
    pub time: Timestamp,
    /// The life of the primary.
    pub epoch: Uuid,
}

impl Stamps {
    fn position_of(self, event: usize) -> Position {
        let number = self.position.get() + i64::try_from(event).unwrap_or(i64::MAX);
        Position::new(number).unwrap_or(self.position)
    }

    fn receipt_of(self, first_event: usize, events: usize) -> WriteReceipt {
        let last_event = first_event + events.saturating_sub(1);
        WriteReceipt {
            epoch: self.epoch,
            first: self.position_of(first_event),
            last: self.position_of(last_event),
        }
    }

    fn time_of(self, event: usize) -> Timestamp {
        let later = SignedDuration::from_micros(i64::try_from(event).unwrap_or(i64::MAX));
        self.time.saturating_add(later).unwrap_or(self.time)
    }
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It led to this.
    Done(Outcome),
    /// It led to nothing.
    Refused(Refusal),
    /// Somebody else holds its slot: to be decided again.
    Held,
}

/// Who made the version of a slot that a command sees or leaves.
#[derive(Clone, Copy, Debug)]
enum MadeBy {
    Before { updated_at: Timestamp, receipt: WriteReceipt },
    Event(usize),
}

#[derive(Clone, Debug)]
struct State {
    slot: Slot,
    created_at: Option<Timestamp>,
    made_by: MadeBy,
}

#[derive(Clone, Debug)]
enum Decided {
    Stands(State),
    AllStand { slots: Vec<Slot>, first_event: usize },
    Removed { event: usize, version: Version },
    Rejected(Rejection),
    Mismatched { current: Version, made_by: MadeBy },
    Held,
}

/// A batch, decided but not committed.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// What is to be appended, in order.
    pub events: Vec<DraftEvent>,
    decided: Vec<Decided>,
}

impl Draft {
    /// Decides the commands one after the other; on slots that were there before the batch, each sees what those
    /// before it did.
    #[must_use]
    pub fn decide(asks: &[&Ask], slots: &Slots) -> Self {
        let mut states: HashMap<Uuid, State> =
            slots.locked.iter().map(|(uuid, stored)| (*uuid, State::before(stored))).collect();
        let mut draft = Self::default();
        for ask in asks {
            let decided = draft.decide_one(ask, slots, &mut states);
            draft.decided.push(decided);
        }
        draft.mark_last_events();
        draft
    }

    fn decide_one(&mut self, ask: &Ask, slots: &Slots, states: &mut HashMap<Uuid, State>) -> Decided {
        match &ask.request {
            Request::One(command) => self.decide_command(command, ask.traceparent.as_ref(), slots, states),
            Request::CreateAll(creates) => self.decide_creates(creates, ask.traceparent.as_ref()),
        }
    }

    /// Creates of new slots: nothing can speak against them.
    fn decide_creates(&mut self, creates: &[CreateSlot], traceparent: Option<&String>) -> Decided {
        let first_event = self.events.len();
        let slots: Vec<Slot> = creates.iter().map(slot::created).collect();
        for slot in &slots {
            self.append(SlotEvent::Created(slot.clone()), None, traceparent);
        }
        Decided::AllStand { slots, first_event }
    }

    fn decide_command(
        &mut self,
        command: &Command,
        traceparent: Option<&String>,
        slots: &Slots,
        states: &mut HashMap<Uuid, State>,
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
                return before.map_or(Decided::Rejected(Rejection::NotFound), |s| Decided::Stands(s.clone()));
            }
        };
        let created_at = before.and_then(|state| state.created_at);
        let after = slot::evolve(&event).cloned();
        let (uuid, version) = (event.uuid(), event.version());
        let number = self.append(event, created_at, traceparent);
        match after {
            Some(slot) => {
                let state = State { slot, created_at, made_by: MadeBy::Event(number) };
                // A slot of this very batch is not there for its other commands: nobody can know it yet.
                if existing.is_some() {
                    states.insert(uuid, state.clone());
                }
                Decided::Stands(state)
            }
            None => {
                states.remove(&uuid);
                Decided::Removed { event: number, version }
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

    /// The slots that the batch changes or removes.
    #[must_use]
    pub fn changed_slots(&self) -> Vec<Uuid> {
        let existing = self.events.iter().filter(|event| !matches!(event.event, SlotEvent::Created(_)));
        existing.map(|event| event.event.uuid()).collect()
    }

    /// What became of each command, once the events stand in the log from `stamps` on; `None` if there were none.
    #[must_use]
    pub fn verdicts(&self, stamps: Option<Stamps>) -> Vec<Verdict> {
        self.decided.iter().map(|decided| decided.verdict(stamps)).collect()
    }
}

impl State {
    fn before(stored: &StoredSlot) -> Self {
        Self {
            slot: stored.record.slot.clone(),
            created_at: Some(stored.record.created_at),
            made_by: MadeBy::Before { updated_at: stored.record.updated_at, receipt: stored.receipt },
        }
    }
}

impl MadeBy {
    /// The receipt of the event that made the version. `None`: the event was not committed.
    fn receipt(self, stamps: Option<Stamps>) -> Option<WriteReceipt> {
        match self {
            Self::Before { receipt, .. } => Some(receipt),
            Self::Event(event) => stamps.map(|stamps| stamps.receipt_of(event, 1)),
        }
    }

    /// When the version was made. `None`: the event was not committed.
    fn time(self, stamps: Option<Stamps>) -> Option<Timestamp> {
        match self {
            Self::Before { updated_at, .. } => Some(updated_at),
            Self::Event(event) => stamps.map(|stamps| stamps.time_of(event)),
        }
    }
}

impl Decided {
    /// A mismatch is told with the receipt of the version that it met, so that the caller's next read is not stale.
    fn rejected(rejection: Rejection, met: Option<&State>) -> Self {
        match (rejection, met) {
            (Rejection::VersionMismatch { current }, Some(state)) => {
                Self::Mismatched { current, made_by: state.made_by }
            }
            _ => Self::Rejected(rejection),
        }
    }

    /// Without a commit there is no answer for who made an event, or met one: it is to be decided again.
    fn verdict(&self, stamps: Option<Stamps>) -> Verdict {
        self.settled(stamps).unwrap_or(Verdict::Held)
    }

    fn settled(&self, stamps: Option<Stamps>) -> Option<Verdict> {
        Some(match self {
            Self::Held => Verdict::Held,
            Self::Rejected(rejection) => Verdict::Refused((*rejection).into()),
            Self::Mismatched { current, made_by } => {
                let receipt = made_by.receipt(stamps)?;
                Verdict::Refused(Refusal::VersionMismatch { current: *current, receipt })
            }
            Self::Stands(State { slot, created_at, made_by }) => {
                let (updated_at, receipt) = (made_by.time(stamps)?, made_by.receipt(stamps)?);
                let created_at = created_at.unwrap_or(updated_at);
                let record = SlotRecord { slot: slot.clone(), created_at, updated_at };
                Verdict::Done(Outcome::Stands { record, receipt })
            }
            Self::AllStand { slots, first_event } => {
                let stamps = stamps?;
                let record = |(number, slot): (usize, &Slot)| {
                    let time = stamps.time_of(first_event + number);
                    SlotRecord { slot: slot.clone(), created_at: time, updated_at: time }
                };
                let records = slots.iter().enumerate().map(record).collect();
                let receipt = stamps.receipt_of(*first_event, slots.len());
                Verdict::Done(Outcome::AllStand { records, receipt })
            }
            Self::Removed { event, version } => {
                let receipt = stamps?.receipt_of(*event, 1);
                Verdict::Done(Outcome::Removed { version: *version, receipt })
            }
        })
    }
}
