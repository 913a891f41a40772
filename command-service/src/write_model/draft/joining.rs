//! Requests with the same idempotency key: the batch carries out the first, and the others get its answer.

use std::collections::HashMap;

use super::state::{Decided, MadeBy};
use crate::{
    commands::{IdempotencyKey, Refusal, Submission},
    write_model::idempotency_keys::{KeptAt, KeyState, Keys},
};

/// What is known of a batch's keys while the batch is decided.
pub(super) struct Joining<'b> {
    keys: &'b Keys,
    /// For each key: its fingerprint, and the number of the last request decided with it.
    decided: HashMap<&'b str, (&'b [u8; 32], usize)>,
}

impl<'b> Joining<'b> {
    pub(super) fn new(keys: &'b Keys) -> Self {
        Self { keys, decided: HashMap::new() }
    }

    /// The decision on `submission` that follows from its key. `None` if the slot's rules must decide: the submission
    /// has no key, or no request was carried out with its key.
    pub(super) fn known(&self, submission: &Submission, batch: &[Decided]) -> Option<Decided> {
        let key = submission.key.as_ref()?;
        let reused = Decided::Refused(Refusal::KeyReused);
        match self.keys.standing(key) {
            Some(KeyState::Kept(kept)) if kept.fingerprint != key.fingerprint => return Some(reused),
            Some(KeyState::Kept(kept)) => {
                return Some(kept.outcome(&submission.request).map_or_else(
                    || {
                        tracing::error!(key = key.name, "the log does not hold what this key was kept with");
                        Decided::Refused(Refusal::Internal)
                    },
                    Decided::Replayed,
                ));
            }
            Some(KeyState::InUse) => return Some(Decided::KeyInUse),
            None => return Some(Decided::Held),
            Some(KeyState::Free) => {}
        }
        let (fingerprint, number) = self.decided.get(key.name.as_str())?;
        match batch.get(*number)? {
            // Another transaction holds the slot of the first request, so that request is still waiting.
            Decided::Held => Some(Decided::KeyInUse),
            first if first.kept_at().is_none() => None,
            _ if **fingerprint != key.fingerprint => Some(reused),
            _ => Some(Decided::Joined(*number)),
        }
    }

    /// Notes that request `number` of the batch was decided with this key.
    pub(super) fn note(&mut self, key: &'b IdempotencyKey, number: usize) {
        self.decided.insert(&key.name, (&key.fingerprint, number));
    }
}

impl Decided {
    /// What its key is kept with; `None` if no request was carried out.
    pub(super) fn kept_at(&self) -> Option<KeptAt> {
        match self {
            // An update with nothing to change makes no event. Its key is kept with the version that it found. So
            // sending the request again does not undo later changes by other callers.
            Self::Created(state) | Self::Updated(state) => Some(match state.made_by {
                MadeBy::Before { receipt, .. } => KeptAt::Standing(receipt.last),
                MadeBy::Event(first) => KeptAt::Events { first, events: 1 },
            }),
            Self::AllCreated { slots, first_event } => {
                Some(KeptAt::Events { first: *first_event, events: slots.len() })
            }
            Self::Deleted { event, .. } => Some(KeptAt::Events { first: *event, events: 1 }),
            Self::Replayed(_)
            | Self::Joined(_)
            | Self::Rejected(_)
            | Self::Mismatched { .. }
            | Self::Refused(_)
            | Self::Held
            | Self::KeyInUse => None,
        }
    }
}
