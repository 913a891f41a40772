//! Why the subscription has to start again.

use shared::broker::BrokerError;

/// Why the subscription has to start again.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The broker is down, or refuses.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The broker ended the subscription, for instance because the queue was deleted.
    #[error("the broker ended the subscription")]
    Ended,
    /// The channel was closed before the acknowledgement; the messages will come again.
    #[error("the channel was closed")]
    ChannelClosed,
    /// What was asked for does not come. A queue that was deleted and made anew at once has its messages dropped by the
    /// broker on a channel that knew the old one: they are taken for old ones. A new subscription hears them.
    #[error("nothing of what was asked for comes on this subscription")]
    Unanswered,
    /// The replica was down for longer than messages are held.
    #[error("the replica was down for too long to hold messages")]
    HeldTooLong,
    /// The replica is still of another epoch than what came.
    #[error("what came is of another epoch than the replica")]
    ForeignEpoch,
}

impl From<lapin::Error> for SubscriptionError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.into())
    }
}
