//! The verdict on each command of a batch, after the commit has assigned positions and times.

use jiff::Timestamp;
use shared::slot::{Rejection, Slot};

use super::state::{Decided, DraftState, MadeBy, Stamps};
use crate::{
    commands::{Done, Outcome, Refusal},
    register::{receipt::WriteReceipt, record::SlotRecord},
};

/// The verdict on one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command has this outcome.
    Done(Done),
    /// The command was refused.
    Refused(Refusal),
    /// Another transaction holds its slot. The committer decides the command again.
    Held,
    /// Another request with the same key is still running. The committer decides the command again.
    KeyInUse,
}

impl Verdict {
    fn of(outcome: Outcome) -> Self {
        Self::Done(Done { outcome, replayed: false })
    }

    /// The same verdict for another request with the same key; an outcome is marked as replayed.
    pub(super) fn again(self) -> Self {
        match self {
            Self::Done(done) => Self::Done(Done { replayed: true, ..done }),
            other => other,
        }
    }
}

impl MadeBy {
    /// The receipt of the event that made the version. `None` if the event was not committed.
    fn receipt(self, stamps: Option<Stamps>) -> Option<WriteReceipt> {
        match self {
            Self::Before { receipt, .. } => Some(receipt),
            Self::Event(event) => stamps.map(|stamps| stamps.receipt_of(event, 1)),
        }
    }

    /// When the version was made. `None` if the event was not committed.
    fn time(self, stamps: Option<Stamps>) -> Option<Timestamp> {
        match self {
            Self::Before { updated_at, .. } => Some(updated_at),
            Self::Event(event) => stamps.map(|stamps| stamps.time_of(event)),
        }
    }
}

impl DraftState {
    /// The slot with its times, and the receipt of this version. `None` if its event was not committed.
    fn record(&self, stamps: Option<Stamps>) -> Option<(SlotRecord, WriteReceipt)> {
        let (updated_at, receipt) = (self.made_by.time(stamps)?, self.made_by.receipt(stamps)?);
        let created_at = self.created_at.unwrap_or(updated_at);
        Some((SlotRecord { slot: self.slot.clone(), created_at, updated_at }, receipt))
    }
}

impl Decided {
    /// A mismatch carries the receipt of the version that it met, so that the caller's next read is not stale.
    pub(super) fn rejected(rejection: Rejection, met: Option<&DraftState>) -> Self {
        match (rejection, met) {
            (Rejection::VersionMismatch { current }, Some(state)) => {
                Self::Mismatched { current, made_by: state.made_by }
            }
            _ => Self::Rejected(rejection),
        }
    }

    /// Without a commit, a command that made or met an event of the batch has no answer. The committer decides it
    /// again.
    pub(super) fn verdict(&self, stamps: Option<Stamps>) -> Verdict {
        self.settled(stamps).unwrap_or(Verdict::Held)
    }

    fn settled(&self, stamps: Option<Stamps>) -> Option<Verdict> {
        Some(match self {
            Self::Held => Verdict::Held,
            Self::KeyInUse => Verdict::KeyInUse,
            Self::Refused(refusal) => Verdict::Refused(*refusal),
            Self::Replayed(outcome) => Verdict::of(outcome.clone()).again(),
            // `Draft::verdicts` takes the verdict of the request that this one joined.
            Self::Joined(_) => return None,
            Self::Rejected(rejection) => Verdict::Refused((*rejection).into()),
            Self::Mismatched { current, made_by } => {
                let receipt = made_by.receipt(stamps)?;
                Verdict::Refused(Refusal::VersionMismatch { current: *current, receipt })
            }
            Self::Created(state) => {
                let (record, receipt) = state.record(stamps)?;
                Verdict::of(Outcome::Created { record, receipt })
            }
            Self::Updated(state) => {
                let (record, receipt) = state.record(stamps)?;
                Verdict::of(Outcome::Updated { record, receipt })
            }
            Self::AllCreated { slots, first_event } => {
                let stamps = stamps?;
                let record = |(number, slot): (usize, &Slot)| {
                    let time = stamps.time_of(first_event + number);
                    SlotRecord { slot: slot.clone(), created_at: time, updated_at: time }
                };
                let records = slots.iter().enumerate().map(record).collect();
                let receipt = stamps.receipt_of(*first_event, slots.len());
                Verdict::of(Outcome::AllCreated { records, receipt })
            }
            Self::Deleted { event, version } => {
                let receipt = stamps?.receipt_of(*event, 1);
                Verdict::of(Outcome::Deleted { version: *version, receipt })
            }
        })
    }
}
