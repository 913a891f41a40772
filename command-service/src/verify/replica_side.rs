//! The replica, as verify compares it with the log. Each look is one statement and short; what must be exact is
//! read together with what was settled, in one snapshot.

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
    side_session::{SideError, SideSession},
};

/// A time as it stands, unless it is one that only a hand can have written.
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

/// What is settled, and how much is missing up to position `$1`.
pub(super) const LEVEL: &str = "
    SELECT status.epoch, status.applied_through, upper(status.applied) - 1 AS reach,
           (SELECT coalesce(sum(upper(hole) - lower(hole)), 0)::bigint
            FROM unnest(int8multirange(int8range(0, $1::bigint + 1)) - status.applied) AS hole) AS missing
    FROM replication_status AS status";

/// Rows from uuid `$1` to `$2`, the highest first, at most `$3`.
pub(super) const SLOTS: &str = concat!(
    "
    SELECT uuid, version, status, name, ",
    finite!("created_at"),
    " AS created_at, ",
    finite!("updated_at"),
    " AS updated_at
    FROM parking_slots WHERE uuid BETWEEN $1 AND $2 ORDER BY uuid DESC LIMIT $3"
);

/// The same for tombstones.
pub(super) const TOMBSTONES: &str = concat!(
    "
    SELECT uuid, version AS tombstone_version, ",
    finite!("deleted_at"),
    " AS deleted_at
    FROM parking_slot_tombstones WHERE uuid BETWEEN $1 AND $2 ORDER BY uuid DESC LIMIT $3"
);

/// Slots `$1`, and what was settled and dead-lettered, in one snapshot. The first row alone tells the latter.
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

/// The dead letters of positions.
pub(super) const DEAD_LETTERS: &str = "SELECT position, id FROM dead_letters WHERE position = ANY($1)";

/// What the summary says and what counting gives, in one snapshot.
pub(super) const SUMMARY: &str = "
    SELECT coalesce(counted.status, summary.status) AS status, counted.slots AS counted, summary.slots AS told
    FROM (SELECT known.status, count(slot.uuid) AS slots
          FROM (VALUES ('available'), ('reserved'), ('occupied'), ('blocked')) AS known (status)
          LEFT JOIN parking_slots AS slot ON slot.status = known.status
          GROUP BY known.status) AS counted
    FULL JOIN parking_slot_summary AS summary ON summary.status = counted.status";

/// A replica that answers nothing for 8 s is down, and nothing is known of it.
const KIND: SessionKind = SessionKind {
    step: "verify",
    options: "-c statement_timeout=5s -c default_transaction_read_only=on -c max_parallel_workers_per_gather=0",
    deadline: Duration::from_secs(8),
};

/// Counting everything is the one look that takes the longer the more there is. A replica that answers nothing for 65 s is
/// down.
const SUMMARY_KIND: SessionKind = SessionKind {
    step: "verify summary",
    options: "-c statement_timeout=60s -c default_transaction_read_only=on",
    deadline: Duration::from_secs(65),
};

/// How many rows, and how many tombstones, one look takes: more than the log has slots in a chunk. More are there only
/// if somebody has made them up.
const RANGE_ROWS_MAX: i64 = 2_000;

/// What a replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaReach {
    /// The epoch from which its positions are; none before the first event.
    pub epoch: Option<Uuid>,
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// The highest position that is settled.
    pub reach: i64,
    /// How many positions are missing up to the one that was asked for.
    pub missing: i64,
}

/// The slots of a range of uuids.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Those that are there, without their writers.
    pub slots: HashMap<Uuid, FoundSlot>,
    /// The lower end up to which all were seen: that which was asked for, unless there were too many.
    pub low: Uuid,
}

/// Certain slots, exactly.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    /// Each that was asked for.
    pub slots: Vec<(Uuid, FoundSlot)>,
    /// The positions that were settled just then, as PostgreSQL writes them.
    pub settled: String,
    /// Those that were dead-lettered.
    pub aside: String,
    /// The epoch of these positions.
    pub epoch: Option<Uuid>,
}

/// A session that looks at the replica.
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
    /// Connects and prepares.
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

    /// How far the replica is, on its way to a position.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn level(&self, position: i64) -> Result<ReplicaReach, SideError> {
        let row = self.session.query_one(&self.level, &[&position]).await?;
        let read = || {
            Ok(ReplicaReach {
                epoch: row.try_get("epoch")?,
                applied_through: row.try_get("applied_through")?,
                reach: row.try_get("reach")?,
                missing: row.try_get("missing")?,
            })
        };
        read().map_err(|error| self.session.judge(error))
    }

    /// The slots of a range of uuids, as many as one look takes, from its upper end.
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

    /// Certain slots with what was settled in the same snapshot.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn exactly(&self, slots: &[Uuid]) -> Result<Exact, SideError> {
        let rows = self.session.query(&self.exactly, &[&slots]).await?;
        exact_of(&rows).map_err(|error| self.session.judge(error))
    }

    /// The open dead letters of these positions.
    ///
    /// # Errors
    /// [`SideError`].
    pub async fn dead_letters(&self, positions: &[i64]) -> Result<HashMap<i64, i64>, SideError> {
        let rows = self.session.query(&self.dead_letters, &[&positions]).await?;
        let read = rows.iter().map(|row| Ok((row.try_get("position")?, row.try_get("id")?)));
        read.collect::<Result<_, _>>().map_err(|error| self.session.judge(error))
    }

    /// What the summary says, and what counting gives.
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

/// A status without a row in the summary has no number there.
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
