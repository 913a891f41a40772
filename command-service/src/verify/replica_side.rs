//! Reads the replica for verify. Each read is short; exact reads take rows and settled positions in one snapshot.

use std::{collections::HashMap, time::Duration};

use shared::{
    messages::repair::RowWriters,
    postgres::{DatabaseUrl, SessionKind},
    slot::Version,
};
use tokio_postgres::{Error, Row, Statement};
use uuid::Uuid;

use super::{
    difference::{Counts, FoundSlot, SlotRow, Tombstone},
    reach::ReplicaReach,
    side_session::{SideError, SideSession},
};

/// A time, or NULL if it is out of the range that the services write.
macro_rules! finite {
    ($column:literal) => {
        concat!(
            "CASE WHEN ",
            $column,
            " BETWEEN '0001-01-01 UTC' AND '9999-01-01 UTC' THEN ",
            $column,
            " END"
        )
    };
}

/// What is settled, and how many positions are missing up to `$1`.
pub(super) const LEVEL: &str = "
    SELECT status.epoch, status.applied_through, upper(status.applied) - 1 AS reach,
           -- An edit by hand may have made it infinite.
           CASE WHEN status.as_of IS NOT NULL
                THEN greatest(least(status.as_of, '9999-01-01 UTC'), '0001-01-01 UTC') END AS as_of,
           (SELECT coalesce(sum(upper(hole) - lower(hole)), 0)::bigint
            FROM unnest(int8multirange(int8range(0, $1::bigint + 1)) - status.applied) AS hole) AS missing
    FROM replication_status AS status";

/// Slots, and in [`TOMBSTONES`] tombstones, from uuid `$1` to `$2`: highest first, at most `$3`.
pub(super) const SLOTS: &str = concat!(
    "
    SELECT uuid, version, status, name, ",
    finite!("created_at"),
    " AS created_at, ",
    finite!("updated_at"),
    " AS updated_at
    FROM parking_slots WHERE uuid BETWEEN $1 AND $2 ORDER BY uuid DESC LIMIT $3"
);

pub(super) const TOMBSTONES: &str = concat!(
    "
    SELECT uuid, version AS tombstone_version, ",
    finite!("deleted_at"),
    " AS deleted_at
    FROM parking_slot_tombstones WHERE uuid BETWEEN $1 AND $2 ORDER BY uuid DESC LIMIT $3"
);

/// Slots `$1` in one snapshot with the settled and dead-lettered positions, which only the first row has.
pub(super) const EXACTLY: &str = concat!(
    "
    SELECT asked.uuid, slot.version, slot.status, slot.name, ",
    finite!("slot.created_at"),
    " AS created_at, ",
    finite!("slot.updated_at"),
    " AS updated_at, slot.xmin::text::bigint AS slot_writer,
           tombstone.version AS tombstone_version, ",
    finite!("tombstone.deleted_at"),
    " AS deleted_at, tombstone.xmin::text::bigint AS tombstone_writer, status.epoch,
           CASE WHEN asked.number = 1 THEN status.applied::text END AS settled,
           CASE WHEN asked.number = 1 THEN coalesce(
               (SELECT range_agg(int8range(position, position, '[]'))::text
                FROM dead_letters WHERE position IS NOT NULL), '{}') END AS aside
    FROM replication_status AS status
    CROSS JOIN unnest($1::uuid[]) WITH ORDINALITY AS asked (uuid, number)
    LEFT JOIN parking_slots AS slot ON slot.uuid = asked.uuid
    LEFT JOIN parking_slot_tombstones AS tombstone ON tombstone.uuid = asked.uuid
    ORDER BY asked.number"
);

pub(super) const DEAD_LETTERS: &str = "SELECT position, id FROM dead_letters WHERE position = ANY($1)";

/// The numbers in the summary and those from counting, in one snapshot.
pub(super) const SUMMARY: &str = "
    SELECT coalesce(counted.status, summary.status) AS status, counted.slots AS counted, summary.slots AS told
    FROM (SELECT known.status, count(slot.uuid) AS slots
          FROM (VALUES ('available'), ('reserved'), ('occupied'), ('blocked')) AS known (status)
          LEFT JOIN parking_slots AS slot ON slot.status = known.status
          GROUP BY known.status) AS counted
    FULL JOIN parking_slot_summary AS summary ON summary.status = counted.status";

/// A replica that answers nothing for 8 s counts as down.
const KIND: SessionKind = SessionKind {
    step: "verify",
    options: "-c statement_timeout=5s -c default_transaction_read_only=on -c max_parallel_workers_per_gather=0",
    deadline: Duration::from_secs(8),
};

/// Counting takes longer the more slots exist. A replica that answers nothing for 65 s counts as down.
const SUMMARY_KIND: SessionKind = SessionKind {
    step: "verify summary",
    options: "-c statement_timeout=60s -c default_transaction_read_only=on",
    deadline: Duration::from_secs(65),
};

/// Slots, and tombstones, per read: more than a chunk of the log has. Only rows written by hand exceed it.
const RANGE_ROWS_MAX: i64 = 2_000;

/// The slots of a range of uuids.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// The slots and tombstones found, without their writers.
    pub slots: HashMap<Uuid, FoundSlot>,
    /// The lowest uuid down to which the read is complete: the requested one, unless there were too many rows.
    pub low: Uuid,
}

/// Some slots, with the positions settled in the same snapshot.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    /// Every requested slot.
    pub slots: Vec<(Uuid, FoundSlot)>,
    /// The settled positions, in PostgreSQL's multirange notation.
    pub settled: String,
    /// The dead-lettered positions, in the same notation.
    pub aside: String,
    /// The epoch of these positions.
    pub epoch: Option<Uuid>,
}

/// The session that reads the replica, with its statements.
#[derive(Debug)]
pub struct ReplicaSide {
    session: SideSession,
    replica: DatabaseUrl,
    level: Statement,
    slots: Statement,
    tombstones: Statement,
    exactly: Statement,
    dead_letters: Statement,
}

impl ReplicaSide {
    /// Connects and prepares the statements.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn open(replica: &DatabaseUrl) -> Result<Self, SideError> {
        let session = SideSession::open(replica, KIND, "the replica").await?;
        let (level, slots, tombstones, exactly, dead_letters) = tokio::try_join!(
            session.prepare(LEVEL),
            session.prepare(SLOTS),
            session.prepare(TOMBSTONES),
            session.prepare(EXACTLY),
            session.prepare(DEAD_LETTERS),
        )?;
        let replica = replica.clone();
        Ok(Self { session, replica, level, slots, tombstones, exactly, dead_letters })
    }

    /// How far the replica is, and how many positions it misses up to `position`.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn level(&self, position: i64) -> Result<ReplicaReach, SideError> {
        let row = self.session.query_one(&self.level, &[&position]).await?;
        ReplicaReach::of(&row).map_err(|error| self.session.judge(error))
    }

    /// Reads the slots of a range of uuids from its upper end, as many as one read takes.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn range(&self, low: Uuid, high: Uuid) -> Result<Range, SideError> {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&low, &high, &RANGE_ROWS_MAX];
        let (slots, tombstones) = tokio::try_join!(
            self.session.query(&self.slots, &params),
            self.session.query(&self.tombstones, &params),
        )?;
        range_of(&slots, &tombstones, low).map_err(|error| self.session.judge(error))
    }

    /// Reads these slots and, in the same snapshot, the settled positions.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn exactly(&self, slots: &[Uuid]) -> Result<Exact, SideError> {
        let rows = self.session.query(&self.exactly, &[&slots]).await?;
        exact_of(&rows).map_err(|error| self.session.judge(error))
    }

    /// The ids of the open dead letters, by position, for these positions.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn dead_letters(&self, positions: &[i64]) -> Result<HashMap<i64, i64>, SideError> {
        let rows = self.session.query(&self.dead_letters, &[&positions]).await?;
        let read = rows.iter().map(|row| Ok((row.try_get("position")?, row.try_get("id")?)));
        read.collect::<Result<_, _>>().map_err(|error| self.session.judge(error))
    }

    /// The numbers in the summary, then those from counting. A status without a row in the summary has no number.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn summary(&self) -> Result<(Counts, Counts), SideError> {
        let session = SideSession::open(&self.replica, SUMMARY_KIND, "the replica").await?;
        let statement = session.prepare(SUMMARY).await?;
        let rows = session.query(&statement, &[]).await?;
        summary_of(&rows).map_err(|error| session.judge(error))
    }
}

fn range_of(slots: &[Row], tombstones: &[Row], low: Uuid) -> Result<Range, Error> {
    let mut range = Range { slots: HashMap::with_capacity(slots.len()), low };
    for row in slots {
        range.slots.entry(row.try_get("uuid")?).or_default().slot = slot_row(row)?;
    }
    for row in tombstones {
        range.slots.entry(row.try_get("uuid")?).or_default().tombstone = tombstone(row)?;
    }
    for rows in [slots, tombstones] {
        if rows.len() as i64 >= RANGE_ROWS_MAX
            && let Some(last) = rows.last()
        {
            range.low = range.low.max(last.try_get("uuid")?);
        }
    }
    let low = range.low;
    range.slots.retain(|uuid, _| *uuid >= low);
    Ok(range)
}

fn exact_of(rows: &[Row]) -> Result<Exact, Error> {
    let mut exact = Exact::default();
    for row in rows {
        if let (Some(settled), Some(aside)) = (row.try_get("settled")?, row.try_get("aside")?) {
            (exact.settled, exact.aside) = (settled, aside);
            exact.epoch = row.try_get("epoch")?;
        }
        let writers =
            RowWriters { slot: row.try_get("slot_writer")?, tombstone: row.try_get("tombstone_writer")? };
        let found = FoundSlot { slot: slot_row(row)?, tombstone: tombstone(row)?, writers };
        exact.slots.push((row.try_get("uuid")?, found));
    }
    Ok(exact)
}

fn slot_row(row: &Row) -> Result<Option<SlotRow>, Error> {
    let version: Option<Version> = row.try_get("version")?;
    let Some(version) = version else { return Ok(None) };
    Ok(Some(SlotRow {
        version,
        status: row.try_get("status")?,
        name: row.try_get("name")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    }))
}

fn tombstone(row: &Row) -> Result<Option<Tombstone>, Error> {
    let version: Option<i64> = row.try_get("tombstone_version")?;
    let Some(version) = version else { return Ok(None) };
    Ok(Some(Tombstone { version, deleted_at: row.try_get("deleted_at")? }))
}

fn summary_of(rows: &[Row]) -> Result<(Counts, Counts), Error> {
    let (mut told, mut counted) = (Counts::new(), Counts::new());
    for row in rows {
        let status: String = row.try_get("status")?;
        if let Some(slots) = row.try_get("told")? {
            told.insert(status.clone(), slots);
        }
        if let Some(slots) = row.try_get("counted")? {
            counted.insert(status, slots);
        }
    }
    Ok((told, counted))
}
