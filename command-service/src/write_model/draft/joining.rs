//! Requests with one idempotency key: the first is carried out, the others get its answer.

use std::collections::HashMap;

use super::state::{Decided, MadeBy};
use crate::{
    commands::{IdempotencyKey, Refusal, Submission},
    write_model::idempotency_keys::{KeptAt, KeyState, Keys},
};

/// What is known of the keys of a batch while it is decided.
pub(super) struct Joining<'b> {
    keys: &'b Keys,
    /// For each key, its fingerprint and the number of the request that was last decided with it.
    decided: HashMap<&'b str, (&'b [u8; 32], usize)>,
}

impl<'b> Joining<'b> {
    pub(super) fn new(keys: &'b Keys) -> Self {
        Self { keys, decided: HashMap::new() }
    }

    /// What `submission` comes to because of its key. `None`: it is to be decided, be it that it has no key or that nothing
    /// was carried out with it.
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
            // Its slot is held by somebody else, so it waits: the first request is still running.
            Decided::Held => Some(Decided::KeyInUse),
            first if first.kept_at().is_none() => None,
            _ if **fingerprint != key.fingerprint => Some(reused),
            _ => Some(Decided::Joined(*number)),
        }
    }

    /// Request `number` of the batch was decided, with this key.
    pub(super) fn note(&mut self, key: &'b IdempotencyKey, number: usize) {
        self.decided.insert(&key.name, (&key.fingerprint, number));
    }
}

impl Decided {
    /// What its key is kept with; `None` if nothing was carried out.
    pub(super) fn kept_at(&self) -> Option<KeptAt> {
        match self {
            // A change that finds everything in order makes no event; kept with the version that it found, the same
            // request does not undo later changes of others when it is sent again.
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
