//! Messages of another epoch that are kept until it is known whose they are.

use std::time::Duration;

use lapin::message::Delivery;
use shared::broker::signing::{SigningKeys, Trusted, Unsigned};
use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::Batch;

/// How many messages are kept at most; then no others are taken.
const KEPT_MAX: usize = 32;

/// Time between two judgements.
const JUDGE_INTERVAL: Duration = Duration::from_millis(250);

/// A message that is not acknowledged yet.
pub(super) struct KeptMessage {
    pub(super) delivery: Delivery,
    trusted: Result<Trusted, Unsigned>,
    kept_since: Instant,
    pub(super) is_heard: bool,
}

impl KeptMessage {
    pub(super) fn now(delivery: Delivery, keys: &SigningKeys) -> Self {
        let trusted = keys.check(&delivery);
        Self { delivery, trusted, kept_since: Instant::now(), is_heard: false }
    }

    /// The epochs of its events that are not `held`; none if it is not signed.
    pub(super) fn other_epochs(&self, held: Uuid) -> Vec<Uuid> {
        let batch = batch_of(std::slice::from_ref(self));
        let epochs = batch.events.iter().map(|received| received.event.epoch);
        epochs.filter(|epoch| *epoch != held).collect()
    }
}

/// What the messages hold. Nothing of an unsigned message is read.
pub(super) fn batch_of(messages: &[KeptMessage]) -> Batch<'_> {
    Batch::read(messages.iter().map(|message| (&message.delivery, message.trusted)))
}

pub(super) fn deliveries_of(messages: &[KeptMessage]) -> Vec<&Delivery> {
    messages.iter().map(|message| &message.delivery).collect()
}

/// The messages of other epochs that are kept.
#[derive(Default)]
pub(super) struct Strangers {
    pub(super) kept: Vec<KeptMessage>,
    pub(super) held: Option<Uuid>,
    judge_at: Option<Instant>,
}

impl Strangers {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= KEPT_MAX
    }

    /// When to judge next, while something is kept.
    pub(super) fn judge_at(&self) -> Option<Instant> {
        self.judge_at
    }

    pub(super) fn keep(&mut self, messages: Vec<KeptMessage>, held: Uuid) {
        self.kept.extend(messages);
        self.held = Some(held);
        self.judge_at = Some(Instant::now() + JUDGE_INTERVAL);
    }

    pub(super) fn take(&mut self) -> Vec<KeptMessage> {
        self.judge_at = None;
        std::mem::take(&mut self.kept)
    }

    pub(super) fn longest(&self) -> Duration {
        self.kept.iter().map(|kept| kept.kept_since.elapsed()).max().unwrap_or_default()
    }
}
