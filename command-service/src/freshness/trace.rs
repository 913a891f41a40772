//! Traces a write: how far its events have come.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use shared::{slot::Version, time};
use uuid::Uuid;

use super::unmet::Unmet;
use crate::{
    primary::log_end::{LogEndHandle, LoggedWrite},
    queries::{replica::Replica, settled::Settled},
    register::receipt::WriteReceipt,
};

/// How far a write has come. Of several events, the one that is least far counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteState {
    /// The write is durable on the primary.
    Committed,
    /// The broker has confirmed the write.
    Published,
    /// The write is visible on the replica.
    Applied,
    /// The replica could not apply the write and dead-lettered it.
    DeadLettered,
}

/// How far a write has come, with its positions and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The position of the write's last event.
    pub position: i64,
    /// The number of its events.
    pub events: i64,
    /// The slot, if the write is a single event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// The version that the event made, if the write is a single event.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub version: Option<Version>,
    /// How far the write has come.
    pub state: WriteState,
    /// The commit time of its last event.
    #[serde(with = "time")]
    pub committed_at: Timestamp,
}

fn number<S: Serializer>(version: &Option<Version>, serializer: S) -> Result<S::Ok, S::Error> {
    version.map(Version::get).serialize(serializer)
}

/// Asks the primary, then the replica, how far a write has come. The replica comes last, so that its progress is never
/// older than the broker's.
///
/// # Errors
/// [`Unmet`]: a database is down, or the receipt does not belong to this log.
pub async fn trace(log: &LogEndHandle, replica: &Replica, write: &WriteReceipt) -> Result<Trace, Unmet> {
    let (end, logged) = log.last_event(write).await?;
    if end.epoch != write.epoch {
        return Err(Unmet::ForeignReceipt);
    }
    let logged = logged.ok_or(Unmet::BeyondLog)?;
    let settled = replica.settled(write).await?.found;
    let events = write.last.get() - write.first.get() + 1;
    let is_single = events == 1;
    Ok(Trace {
        position: write.last.get(),
        events,
        uuid: is_single.then_some(logged.slot),
        version: is_single.then_some(logged.version),
        state: state(settled, &logged),
        committed_at: logged.committed_at,
    })
}

fn state(settled: Settled, logged: &LoggedWrite) -> WriteState {
    match settled {
        Settled::Applied => WriteState::Applied,
        Settled::DeadLettered => WriteState::DeadLettered,
        Settled::Not { last_unsettled } if last_unsettled <= logged.confirmed_position => {
            WriteState::Published
        }
        Settled::Not { .. } => WriteState::Committed,
    }
}
