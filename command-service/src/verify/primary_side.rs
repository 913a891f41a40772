//! Reads the log and the write model for verify, which compares them with each other and with a replica. Each read is
//! one short statement, so that none holds a snapshot for long.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use shared::{
    messages::event::EventType,
    postgres::{DatabaseUrl, SessionKind},
    slot::{SlotName, SlotStatus, Version},
};
use tokio_postgres::{Error, Row, Statement};
use uuid::Uuid;

use super::{
    difference::{Flaw, SlotRow, SlotState, Tombstone, WriteRow},
    judge::Expected,
    side_session::{SideError, SideSession},
};

/// Also the latest time up to which anything can be complete: a watermark is stored before it is sent.
pub(super) const END: &str = "
    SELECT epoch.epoch, coalesce(last.position, 0) AS position,
           greatest(last.committed_at, (SELECT as_of FROM log_watermark)) AS as_of
    FROM epoch
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true";

pub(super) const CHUNK: &str = include_str!("sql/chunk.sql");

pub(super) const FLAWS: &str = include_str!("sql/flaws.sql");

/// The events that decide what a replica must have of the slots `$1`. The replica has settled the positions `$2` and
/// dead-lettered `$3` of them. Per slot: the highest version that it applied, and the higher ones that it
/// dead-lettered.
pub(super) const DUE: &str = "
    WITH settled AS MATERIALIZED (
        SELECT $2::text::int8multirange AS positions, $3::text::int8multirange AS aside
    )
    SELECT event.slot_uuid AS uuid, event.version AS log_version, event.position AS log_position,
           event.type AS log_type, event.committed_at AS log_committed_at, event.created_at AS log_created_at,
           event.status AS log_status, event.name AS log_name, event.position <@ settled.aside AS is_aside
    FROM settled
    CROSS JOIN unnest($1::uuid[]) AS asked (uuid)
    LEFT JOIN LATERAL (
        SELECT version FROM parking_slot_events AS candidate
        WHERE candidate.slot_uuid = asked.uuid AND candidate.position <@ settled.positions
          AND NOT candidate.position <@ settled.aside
        ORDER BY version DESC LIMIT 1
    ) AS applied ON true
    JOIN parking_slot_events AS event
         ON event.slot_uuid = asked.uuid AND event.version >= coalesce(applied.version, 0)
            AND event.position <@ settled.positions
    ORDER BY event.slot_uuid, event.version";

/// A primary that answers nothing for 8 s counts as down.
const KIND: SessionKind = SessionKind {
    step: "verify",
    options: "-c statement_timeout=5s -c default_transaction_read_only=on -c max_parallel_workers_per_gather=0",
    deadline: Duration::from_secs(8),
};

/// Slots of the log per read.
const CHUNK_SLOTS: i32 = 1_000;

/// Rows of the write model in the same read. Only rows written by hand exceed it.
const CHUNK_ROWS_MAX: i64 = 2_000;

/// Events per read of the log itself.
const CHUNK_EVENTS: i64 = 10_000;

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The epoch.
    pub epoch: Uuid,
    /// The last position; 0 while the log is empty.
    pub position: i64,
    /// No replica can be complete up to a later time; `None` before the first event and watermark.
    pub as_of: Option<Timestamp>,
}

/// Slots, the highest uuid first.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Each slot in the log and in the write model.
    pub entries: Vec<Entry>,
    /// The chunk is complete down to this uuid: neither the log nor the write model has another slot above it.
    pub low: Uuid,
}

/// A slot as the log and the write model have it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The slot.
    pub uuid: Uuid,
    /// Its state after its latest event.
    pub state: SlotState,
    /// The row that the write model must have after that event.
    pub expected: Option<WriteRow>,
    /// The row that the write model has.
    pub written: Option<WriteRow>,
}

/// The result of checking the next events of the log.
#[derive(Clone, Debug)]
pub struct LogPart {
    /// The last event checked; `None` if the log has no more events.
    pub last: Option<LogPlace>,
    /// The positions that break a rule.
    pub flaws: Vec<(i64, Flaw)>,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub struct LogPlace {
    /// The position.
    pub position: i64,
    /// When its event was committed; `None` before the first event.
    pub committed_at: Option<Timestamp>,
}

/// The session that reads the primary, with its statements.
#[derive(Debug)]
pub struct PrimarySide {
    session: SideSession,
    end: Statement,
    chunk: Statement,
    flaws: Statement,
    due: Statement,
}

impl PrimarySide {
    /// Connects and prepares the statements.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn open(primary: &DatabaseUrl) -> Result<Self, SideError> {
        let session = SideSession::open(primary, KIND, "the primary").await?;
        let (end, chunk, flaws, due) = tokio::try_join!(
            session.prepare(END),
            session.prepare(CHUNK),
            session.prepare(FLAWS),
            session.prepare(DUE),
        )?;
        Ok(Self { session, end, chunk, flaws, due })
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn end(&self) -> Result<End, SideError> {
        let row = self.session.query_one(&self.end, &[]).await?;
        let read = || {
            Ok(End {
                epoch: row.try_get("epoch")?,
                position: row.try_get("position")?,
                as_of: row.try_get("as_of")?,
            })
        };
        read().map_err(|error| self.session.judge(error))
    }

    /// Reads the slots from `high` downwards, as many as one read takes.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn chunk(&self, high: Uuid) -> Result<Chunk, SideError> {
        let rows = self.session.query(&self.chunk, &[&high, &CHUNK_SLOTS, &CHUNK_ROWS_MAX]).await?;
        chunk_of(&rows).map_err(|error| self.session.judge(error))
    }

    /// Reads and checks the events after `place`, as many as one read takes.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn log_behind(&self, place: LogPlace) -> Result<LogPart, SideError> {
        let LogPlace { position, committed_at } = place;
        let rows = self.session.query(&self.flaws, &[&position, &committed_at, &CHUNK_EVENTS]).await?;
        log_part_of(&rows).map_err(|error| self.session.judge(error))
    }

    /// What a replica must have of these slots. It has settled the positions `settled`; it dead-lettered those in the
    /// last argument.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn expected(
        &self,
        slots: &[Uuid],
        settled: &str,
        aside: &str,
    ) -> Result<HashMap<Uuid, Expected>, SideError> {
        let rows = self.session.query(&self.due, &[&slots, &settled, &aside]).await?;
        expected_of(&rows).map_err(|error| self.session.judge(error))
    }
}

fn chunk_of(rows: &[Row]) -> Result<Chunk, Error> {
    let mut entries = Vec::with_capacity(rows.len());
    let (mut logged, mut written) = (0, 0);
    let (mut low_of_log, mut low_of_rows) = (Uuid::nil(), Uuid::nil());
    for row in rows {
        let uuid = row.try_get("uuid")?;
        let event: Option<Version> = row.try_get("log_version")?;
        let (state, expected) = match event {
            Some(_) => {
                logged += 1;
                low_of_log = uuid;
                logged_state(row)?
            }
            None => (SlotState::Never, None),
        };
        let version: Option<Version> = row.try_get("version")?;
        let found = match version {
            Some(version) => {
                written += 1;
                low_of_rows = uuid;
                Some(written_row(row, version)?)
            }
            None => None,
        };
        entries.push(Entry { uuid, state, expected, written: found });
    }
    // A read that reached its limit may have left out lower uuids, so the chunk ends at its last one.
    let low_of_log = if logged < CHUNK_SLOTS { Uuid::nil() } else { low_of_log };
    let low_of_rows = if written < CHUNK_ROWS_MAX { Uuid::nil() } else { low_of_rows };
    let low = low_of_log.max(low_of_rows);
    entries.retain(|entry| entry.uuid >= low);
    Ok(Chunk { entries, low })
}

/// The slot's state after an event, and the row that the write model must have then.
fn logged_state(row: &Row) -> Result<(SlotState, Option<WriteRow>), Error> {
    let (version, committed_at): (Version, Timestamp) =
        (row.try_get("log_version")?, row.try_get("log_committed_at")?);
    if row.try_get::<_, EventType>("log_type")? == EventType::Delete {
        let tombstone = Tombstone { version: version.get(), deleted_at: Some(committed_at) };
        return Ok((SlotState::Deleted(tombstone), None));
    }
    let slot = SlotRow {
        version,
        status: row.try_get("log_status")?,
        name: row.try_get("log_name")?,
        created_at: row.try_get("log_created_at")?,
        updated_at: Some(committed_at),
    };
    let expected = WriteRow { row: slot.clone(), position: row.try_get("log_position")? };
    Ok((SlotState::Live(slot), Some(expected)))
}

fn written_row(row: &Row, version: Version) -> Result<WriteRow, Error> {
    let slot = SlotRow {
        version,
        status: row.try_get::<_, SlotStatus>("status")?,
        name: row.try_get::<_, SlotName>("name")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    };
    Ok(WriteRow { row: slot, position: row.try_get("position")? })
}

fn log_part_of(rows: &[Row]) -> Result<LogPart, Error> {
    let mut part = LogPart { last: None, flaws: Vec::new() };
    for row in rows {
        let position: Option<i64> = row.try_get("position")?;
        let Some(position) = position else { continue };
        let Some(gap): Option<bool> = row.try_get("gap")? else {
            part.last = Some(LogPlace { position, committed_at: row.try_get("committed_at")? });
            continue;
        };
        let flaws =
            [(gap, Flaw::Gap), (row.try_get("late")?, Flaw::Time), (row.try_get("alone")?, Flaw::Version)];
        part.flaws.extend(flaws.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flaw)| (position, flaw)));
    }
    Ok(part)
}

/// Expects the rows in the order of slot and version.
fn expected_of(rows: &[Row]) -> Result<HashMap<Uuid, Expected>, Error> {
    let mut all: HashMap<Uuid, Expected> = HashMap::new();
    for row in rows {
        let (state, _) = logged_state(row)?;
        let expected = all
            .entry(row.try_get("uuid")?)
            .or_insert(Expected { due: SlotState::Never, dead_lettered: Vec::new() });
        if row.try_get("is_aside")? {
            expected.dead_lettered.push((row.try_get("log_position")?, state));
        } else {
            expected.due = state;
        }
    }
    Ok(all)
}
