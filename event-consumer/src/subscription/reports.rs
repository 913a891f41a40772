//! Reports the state of the broker, the replica, the epoch and the dead letters.

use std::time::Duration;

use shared::process::cause::chain;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Subscription, epoch_words::Origin, fault::SubscriptionError};
use crate::projection::ApplyError;

/// Tells the operator what to do when the replica is of another epoch.
const FOREIGN_EPOCH: &str = "the primary was restored or replaced, and the replica is of a former epoch: \
                             run event-consumer rebuild";

/// Reported while messages of another epoch wait, and no primary is heard.
const UNKNOWN_ORIGIN: &str =
    "messages of another epoch wait until the relay is heard: start command-service, or wait for it";

/// Reported while dead letters cannot be stored.
const NOT_STORED: &str = "no room for further dead letters, or the replica refuses them: settle the open ones with \
                          event-consumer dead-letters; what is left out comes again";

/// Reported when a plain event is refused like the others.
const REFUSES_ALL: &str =
    "the replica refuses every event of a type: remove the constraint or trigger that does";

/// What the operator can do about a refusal that is not the fault of an event.
fn advice(error: &tokio_postgres::Error) -> &'static str {
    match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "not able to write: grant event-consumer its privileges on the replica's tables"
        }
        Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "not able to write: make the replica's database writable"
        }
        Some(code) if *code == SqlState::DISK_FULL => "not able to write: give the replica disk space",
        _ => "not connected, or not able to write",
    }
}

impl Subscription {
    /// Reports why a batch or a watermark was not applied.
    pub(super) fn report_apply(&self, error: &ApplyError) {
        match error {
            ApplyError::Replica(refusal) => self.replica_dependency.down(advice(refusal), error),
            ApplyError::RefusesAll(_) => self.replica_dependency.down(REFUSES_ALL, error),
            ApplyError::Deadline => {
                self.replica_dependency.down("not connected, or not able to write", error);
            }
            ApplyError::Refused(_) => {
                tracing::warn!(error = chain(error), "a batch is tried again on a new connection");
            }
            ApplyError::ForeignEpoch { held, met } => self.report_restored(*held, *met),
        }
    }

    /// Reports that the primary has another epoch than the replica.
    pub(super) fn report_restored(&self, held: Uuid, met: Uuid) {
        self.foreign.notify_one();
        self.epoch_dependency.down(FOREIGN_EPOCH, &ApplyError::ForeignEpoch { held, met });
    }

    /// Reports that it is not known which epoch the primary has.
    pub(super) fn report_unknown_origin(&self) {
        self.epoch_dependency.down_because(UNKNOWN_ORIGIN.to_owned());
    }

    /// Reports whether there was room for dead letters.
    pub(super) fn report_letters(&self, dead_lettered: usize, not_stored: usize) {
        if not_stored > 0 {
            self.dead_letters_dependency.down_because(NOT_STORED.to_owned());
        } else if dead_lettered > 0 {
            self.dead_letters_dependency.up();
        }
    }

    /// Notes a word of the replica's own epoch.
    pub(super) fn hear_own(&self, epoch: Uuid) {
        self.epoch_words.locked().hear_own(epoch, Instant::now());
        self.epoch_dependency.up();
    }

    /// Notes a message of another epoch.
    pub(super) fn hear_other(&self, epoch: Uuid, is_delivered_again: bool) {
        let mut words = self.epoch_words.locked();
        words.hear_other(epoch, is_delivered_again, Instant::now());
    }

    /// Whether the replica's own epoch was heard within this time.
    pub(super) fn was_own_heard(&self, within: Duration) -> bool {
        self.epoch_words.locked().was_own_heard(within, Instant::now())
    }

    /// Judges messages of another epoch.
    pub(super) fn judge(&self, epoch: Uuid) -> Origin {
        self.epoch_words.locked().judge(epoch, Instant::now())
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
