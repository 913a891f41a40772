//! The session that reads the end of the log.

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    position::Position,
    postgres::{Session, SessionKind},
    slot::Version,
};
use tokio::time::Instant;
use tokio_postgres::{Error, Statement};
use uuid::Uuid;

use crate::{
    primary::{
        clock::PrimaryClock,
        connection::{Primary, PrimaryOpenError},
    },
    register::place::{LogEnd, Sighting},
};

/// Time limit of a snapshot, including the time to connect. At the limit the primary counts as down.
pub const LOG_END_DEADLINE: Duration = Duration::from_secs(1);

/// A primary that answers nothing for 1 s counts as down, and the next snapshot connects again.
const KIND: SessionKind = SessionKind {
    step: "freshness",
    options: "-c statement_timeout=900ms -c default_transaction_read_only=on \
              -c default_transaction_isolation=read\\ committed",
    deadline: LOG_END_DEADLINE,
};

/// The end of the log, and the primary's clock. A clock behind the log was set back; commit times then do not show the
/// age of an event.
pub(crate) const END: &str = "
    SELECT (SELECT epoch FROM epoch) AS epoch, last.position, last.committed_at, clock_timestamp() AS clock,
           clock_timestamp() < greatest(last.committed_at, (SELECT as_of FROM log_watermark)) AS clock_is_behind
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true";

/// The event at position `$1`, and the position up to which the broker has confirmed.
pub(crate) const LAST_EVENT: &str = "
    SELECT event.slot_uuid, event.version, event.committed_at, relay_cursor.confirmed_position
    FROM parking_slot_events AS event, relay_cursor WHERE event.position = $1";

/// The last event of a write, from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedWrite {
    /// The slot of the event.
    pub slot: Uuid,
    /// The version that the event made.
    pub version: Version,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The broker has confirmed everything up to this position.
    pub confirmed_position: i64,
}

/// Why the end of the log could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndReadError {
    /// There is no session.
    #[error(transparent)]
    Open(#[from] PrimaryOpenError),
    /// The primary refused, or the connection was lost.
    #[error("the end of the log could not be read")]
    Sql(#[from] Error),
    /// The primary did not answer within [`LOG_END_DEADLINE`].
    #[error("the primary did not answer in time")]
    Late,
}

impl EndReadError {
    /// The reason in short, without a host name.
    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::Open(error) => error.detail(),
            Self::Sql(_) | Self::Late => "not connected",
        }
    }
}

/// The primary's answer at one moment.
pub(super) struct Snapshot {
    pub(super) end: LogEnd,
    pub(super) last: Option<Sighting>,
    /// `None` if the clock is behind the log.
    pub(super) clock: Option<PrimaryClock>,
}

/// A session on the primary with its prepared statements.
pub(super) struct LogSession {
    pub(super) session: Session,
    end: Statement,
    last_event: Statement,
}

impl LogSession {
    pub(super) async fn open(primary: &Primary) -> Result<Self, EndReadError> {
        let session = primary.connect(KIND).await?;
        let (end, last_event) = tokio::try_join!(session.prepare(END), session.prepare(LAST_EVENT))?;
        Ok(Self { session, end, last_event })
    }

    pub(super) async fn snapshot(&self) -> Result<Snapshot, Error> {
        let asked_at = Instant::now();
        let row = self.session.query_one(&self.end, &[]).await?;
        let epoch = row.try_get("epoch")?;
        let last = row.try_get::<_, Option<i64>>("position")?.zip(row.try_get("committed_at")?);
        let is_behind = row.try_get::<_, Option<bool>>("clock_is_behind")?.unwrap_or(false);
        let clock = PrimaryClock { said: row.try_get("clock")?, asked_at };
        Ok(Snapshot {
            end: LogEnd { epoch, position: last.map_or(0, |(position, _)| position) },
            last: last.map(|(position, committed_at)| Sighting { epoch, position, committed_at }),
            clock: (!is_behind).then_some(clock),
        })
    }

    pub(super) async fn last_event(&self, position: Position) -> Result<Option<LoggedWrite>, Error> {
        let row = self.session.query_opt(&self.last_event, &[&position.get()]).await?;
        row.map(|row| {
            Ok(LoggedWrite {
                slot: row.try_get("slot_uuid")?,
                version: row.try_get("version")?,
                committed_at: row.try_get("committed_at")?,
                confirmed_position: row.try_get("confirmed_position")?,
            })
        })
        .transpose()
    }
}
