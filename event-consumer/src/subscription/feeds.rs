//! What is consumed, on one connection.

use lapin::{Channel, Connection, Consumer, types::ShortString};
use tokio::time::Instant;

use crate::holes::plan::HEARING_PATIENCE;

/// What is consumed, on one connection.
pub(super) struct Feeds {
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    pub(super) bind_again_at: Instant,
    pub(super) watermark_queue: ShortString,
    pub(super) events: Consumer,
    pub(super) watermarks: Consumer,
    /// When events came last. A new subscription is of no use while this one has heard nothing.
    pub(super) last_heard: Option<Instant>,
}

impl Feeds {
    /// Whether events came once and no longer do.
    pub(super) fn may_be_deaf(&self) -> bool {
        self.last_heard.is_some_and(|heard| heard.elapsed() >= HEARING_PATIENCE)
    }
}
