//! Watermarks: how complete the log is while no events come. A watermark says that no event committed up to a
//! moment lies beyond a position. Without it, a replica that has applied everything could not tell an idle
//! register from events on their way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time;

/// The content type of a watermark message.
pub const WATERMARK_CONTENT_TYPE: &str = "application/json";

/// No event whose commit time is `as_of` or earlier has a position beyond `position`. The relay takes the
/// watermark under the commit lock and the primary stores it, so no later event can have such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The epoch in which the position counts.
    pub epoch: Uuid,
    /// The log's last position; 0 while it is empty.
    pub position: i64,
    /// The moment, by the primary's clock.
    #[serde(with = "time")]
    pub as_of: Timestamp,
}

impl Watermark {
    /// The watermark as a message's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "writing to memory cannot fail, and every member is text or a number"
        )]
        serde_json::to_vec(self).expect("a watermark is always JSON")
    }

    /// Reads a message's body. Ignores unknown members.
    ///
    /// # Errors
    /// Not JSON, or a member is absent, of another type, or finer than a microsecond.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}
