//! Fills the new copy: subscribes and asks for missing positions like a replica, with its own queue.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use shared::{
    broker::signing::DroppedMessages, messages::watermark::Watermark, process::dependency_state::Dependency,
    replica_name::Recipient,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{copy::SCHEMA, order::Rebuild, outcome::RebuildError};
use crate::{
    holes::Holes,
    subscription::{EpochListener, Subscription},
};

/// Bound for a task to end: longer than for a batch.
const END_DEADLINE: Duration = Duration::from_secs(20);

/// The tasks that fill the copy.
pub(super) struct Follower {
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
    newest: watch::Receiver<Option<Watermark>>,
    foreign: Arc<Notify>,
    epochs: Arc<EpochListener>,
    broker: Dependency,
    replica: Dependency,
}

impl Follower {
    /// Starts both tasks: one binds the queue, the other asks for every position.
    pub(super) fn start(rebuild: &Rebuild) -> Self {
        let stop = CancellationToken::new();
        let (watermarks, newest) = watch::channel(None);
        let (unanswered, foreign) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let epochs = Arc::new(EpochListener::default());
        let (broker, replica) = (Dependency::new("broker"), Dependency::new("replica"));
        let recipient = Recipient::Rebuild(rebuild.replica_name.clone());
        let subscription = Subscription {
            broker: rebuild.broker.clone(),
            replica: rebuild.replica.in_schema(SCHEMA),
            recipient: recipient.clone(),
            broker_dependency: broker.clone(),
            replica_dependency: replica.clone(),
            epoch_dependency: Dependency::new("epoch"),
            dead_letters_dependency: Dependency::new("dead letters"),
            watermarks,
            unanswered: Arc::clone(&unanswered),
            foreign: Arc::clone(&foreign),
            epoch_words: Arc::clone(&epochs),
            unsigned_watermarks: DroppedMessages::new("watermark"),
        };
        let holes = Holes {
            broker: rebuild.broker.clone(),
            replica: rebuild.replica.in_schema(SCHEMA),
            recipient,
            watermarks: newest.clone(),
            unanswered,
            log_dependency: Dependency::new("log"),
        };
        let tasks = [tokio::spawn(subscription.run(stop.clone())), tokio::spawn(holes.run(stop.clone()))];
        Self { stop, tasks, newest, foreign, epochs, broker, replica }
    }

    /// The newest watermark received.
    pub(super) fn newest_watermark(&self) -> Option<Watermark> {
        *self.newest.borrow()
    }

    /// Whether messages of another epoch wait until it is known whose they are.
    pub(super) fn is_judging(&self) -> bool {
        self.epochs.is_judging()
    }

    /// Whether the primary turned out to have another epoch than the copy.
    pub(super) fn has_met_another_epoch(&self) -> bool {
        self.foreign.notified().now_or_never().is_some()
    }

    /// The dependency that is down while nothing arrives, and why.
    pub(super) fn dependency_down(&self) -> RebuildError {
        let (dependency, cause) = if !self.broker.is_up() {
            ("the broker", self.broker.last_reason())
        } else if !self.replica.is_up() {
            ("the replica", self.replica.last_reason())
        } else {
            ("command-service, or its primary,", "no events of the log come".to_owned())
        };
        RebuildError::Down { dependency, cause }
    }

    /// Finishes the current batch and ends. The queue is deleted with the connection.
    pub(super) async fn end(self) {
        self.stop.cancel();
        for mut task in self.tasks {
            if timeout(END_DEADLINE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
