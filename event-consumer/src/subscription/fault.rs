//! Why the subscription must restart.

use shared::broker::BrokerError;

/// Why the subscription must restart.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The broker is down, or refuses.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The broker ended the subscription, for instance because the queue was deleted.
    #[error("the broker ended the subscription")]
    Ended,
    /// The channel was closed before the acknowledgement; the broker delivers the messages again.
    #[error("the channel was closed")]
    ChannelClosed,
    /// Requested events do not arrive. If a queue is deleted and declared again at once, the broker drops its
    /// messages on a channel that knew the old queue, because it takes them for old ones. A new subscription receives
    /// them.
    #[error("nothing of what was asked for comes on this subscription")]
    Unanswered,
    /// The replica was down for longer than the subscription keeps messages unacknowledged.
    #[error("the replica was down for too long to hold messages")]
    HeldTooLong,
    /// The replica still has another epoch than what arrived.
    #[error("what came is of another epoch than the replica")]
    ForeignEpoch,
}

impl From<lapin::Error> for SubscriptionError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.into())
    }
}
