//! Reports the state of the broker, the replica and the epoch.

use super::{Subscription, fault::SubscriptionError};
use crate::projection::ApplyError;

/// Tells the operator what to do when the replica is of another epoch.
const FOREIGN_EPOCH: &str = "the primary was restored or replaced, and the replica is of a former epoch: \
                             run event-consumer rebuild";

impl Subscription {
    /// Reports why a batch or a watermark was not applied.
    pub(super) fn report_apply(&self, error: &ApplyError) {
        match error {
            ApplyError::Replica(_) | ApplyError::Deadline => {
                self.replica_dependency.down("not connected, or not able to write", error);
            }
            ApplyError::ForeignEpoch { .. } => {
                self.foreign.notify_one();
                self.epoch_dependency.down(FOREIGN_EPOCH, error);
            }
        }
    }

    /// Reports why the subscription starts again.
    pub(super) fn report(&self, error: &SubscriptionError) {
        match error {
            SubscriptionError::Unanswered => {
                tracing::warn!("subscribing again: the requested positions do not come")
            }
            SubscriptionError::HeldTooLong => tracing::warn!("messages are given back: the replica is down"),
            SubscriptionError::ForeignEpoch => {
                tracing::debug!("messages are given back: the replica is of another epoch");
            }
            SubscriptionError::Broker(_) | SubscriptionError::Ended | SubscriptionError::ChannelClosed => {
                self.broker_dependency.down("not connected, or not consuming", error);
            }
        }
    }
}
