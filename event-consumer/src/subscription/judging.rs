//! Keeps messages of another epoch than the replica's until it is known whose they are. Other messages go on meanwhile.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    ReplicaConnection, Subscription,
    deliveries::{acknowledge, acknowledge_each},
    epoch_words::Origin,
    fault::SubscriptionError,
    feeds::Feeds,
    holding::{HOLD_MAX, Held},
    kept::{KeptMessage, Strangers, batch_of, deliveries_of},
};
use crate::batch::Batch;

/// Time to keep messages of a restored primary; then they go back to the queue. Only a rebuild makes them fit, or
/// drops them, and the consumer must soon be free for that.
const RESTORED_HOLD_MAX: Duration = Duration::from_secs(5);

impl Subscription {
    /// Applies messages and acknowledges them. Keeps those of another epoch than the replica's.
    pub(super) async fn take(
        &self,
        replica: &mut ReplicaConnection,
        feeds: &mut Feeds,
        mut messages: Vec<KeptMessage>,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        // Each round takes messages out of the batch.
        while !messages.is_empty() {
            let batch = batch_of(&messages);
            let held = match self.apply_until_committed(replica, &batch, shutdown).await? {
                Held::Applied => {
                    let is_word = messages.iter().any(|message| !message.delivery.redelivered);
                    if let Some(received) = batch.events.first().filter(|_| is_word) {
                        self.hear_own(received.event.epoch);
                    }
                    let deliveries = deliveries_of(&messages);
                    return match feeds.strangers.is_empty() {
                        true => acknowledge(&deliveries).await,
                        false => acknowledge_each(&deliveries).await,
                    };
                }
                Held::OfAnotherEpoch(held) => held,
            };
            let (own, mut others): (Vec<_>, Vec<_>) =
                messages.into_iter().partition(|message| message.other_epochs(held).is_empty());
            for message in others.iter_mut().filter(|message| !message.is_heard) {
                message.is_heard = true;
                for epoch in message.other_epochs(held) {
                    self.hear_other(epoch, message.delivery.redelivered);
                }
            }
            if others.is_empty() {
                // The replica was empty, or was rebuilt meanwhile: the next round finds its epoch.
                tracing::debug!("the replica's epoch has changed");
            }
            feeds.strangers.keep(others, held);
            self.epoch_words.note_judging(!feeds.strangers.is_empty());
            messages = own;
        }
        Ok(())
    }

    /// Dead-letters what strangers sent, and applies what fits the replica by now.
    pub(super) async fn judge_strangers(
        &self,
        replica: &mut ReplicaConnection,
        feeds: &mut Feeds,
        shutdown: &CancellationToken,
    ) -> Result<(), SubscriptionError> {
        let Some(held) = feeds.strangers.held else { return Ok(()) };
        let is_strangers = |message: &KeptMessage| {
            message.other_epochs(held).into_iter().all(|epoch| self.judge(epoch) == Origin::Stranger)
        };
        let (strays, rest): (Vec<_>, Vec<_>) = feeds.strangers.take().into_iter().partition(is_strangers);
        feeds.strangers.keep(rest, held);
        if !strays.is_empty() {
            let mut batch = Batch::default();
            for message in &strays {
                batch.pass_over_stranger(&message.delivery, held, &message.other_epochs(held));
            }
            self.apply_until_committed(replica, &batch, shutdown).await?;
            acknowledge_each(&deliveries_of(&strays)).await?;
        }
        let rest = feeds.strangers.take();
        self.take(replica, feeds, rest, shutdown).await?;
        self.epoch_words.note_judging(!feeds.strangers.is_empty());
        self.report_strangers(&feeds.strangers)
    }

    /// Reports what kept messages say of the primary. Fails when they must go back to the queue.
    fn report_strangers(&self, strangers: &Strangers) -> Result<(), SubscriptionError> {
        let Some(held) = strangers.held.filter(|_| !strangers.is_empty()) else { return Ok(()) };
        let others = || strangers.kept.iter().flat_map(|message| message.other_epochs(held));
        let longest = strangers.longest();
        // Under load the messages of a restored primary come too close together to be told from one stranger's.
        let is_flood = strangers.is_full() && longest > RESTORED_HOLD_MAX && !self.was_own_heard(longest);
        let restored = match is_flood {
            true => others().next(),
            false => others().find(|epoch| self.judge(*epoch) == Origin::RestoredPrimary),
        };
        let is_restored = restored.is_some();
        if let Some(met) = restored {
            self.report_restored(held, met);
        } else if longest > RESTORED_HOLD_MAX {
            self.report_unknown_origin();
        }
        let goes_back = longest > RESTORED_HOLD_MAX && (is_restored || strangers.is_full());
        match goes_back || longest > HOLD_MAX {
            true => Err(SubscriptionError::ForeignEpoch),
            false => Ok(()),
        }
    }
}
