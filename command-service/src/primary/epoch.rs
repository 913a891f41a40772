//! The epoch: one incarnation of the primary's log. A restored or replaced primary gives the same positions to other
//! events, so it needs a new epoch.
//!
//! | what happened | how it is noticed |
//! |---|---|
//! | a dump was restored, the database or its cluster copied by PostgreSQL | the server or the database differs |
//! | recovery from an archive, a standby promoted | the timeline differs |
//! | files put back from a copy | the log lacks an event that this process has seen, or the replica has applied |

use jiff::Timestamp;
use shared::postgres::Session;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::commit_lock::take_commit_lock;
use crate::register::place::{LogEnd, Sighting};

/// Reads the stored identity, the present one and the last event of the log. Also reads when position `$1` was
/// committed. A standby has no timeline of its own.
pub(super) const STATE: &str = "
    WITH server AS MATERIALIZED (
        SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
               CASE WHEN NOT pg_is_in_recovery()
                    THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END AS timeline,
               (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
    )
    SELECT noted.epoch, noted.system_identifier, noted.timeline, noted.database,
           server.system_identifier AS server_system_identifier, server.timeline AS server_timeline,
           server.database AS server_database,
           last.position, last.committed_at,
           (SELECT committed_at FROM parking_slot_events WHERE position = $1) AS known_committed_at
    FROM epoch AS noted
    CROSS JOIN server
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true";

/// Stores the identity of the log's server, unless one is stored already.
pub(super) const NOTE: &str = "
    UPDATE epoch SET system_identifier = $2, timeline = $3, database = $4
    WHERE epoch = $1 AND system_identifier IS NULL";

/// Gives a new epoch. If several processes try at the same time, one succeeds.
pub(super) const RENEW: &str = "
    UPDATE epoch SET epoch = gen_random_uuid(), system_identifier = $2, timeline = $3, database = $4
    WHERE epoch = $1 RETURNING epoch";

/// The server, timeline and database of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, as numbered at its creation. Copies of its files have the same number.
    pub system_identifier: i64,
    /// The cluster's timeline. Each recovery from an archive and each promotion starts another.
    pub timeline: i64,
    /// The database in the cluster.
    pub database: u32,
}

/// The primary's report on its identity and its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryReport {
    /// Its epoch.
    pub epoch: Uuid,
    /// The identity stored with the epoch; `None` if none is stored yet.
    pub noted: Option<Identity>,
    /// Its identity now; `None` while it is a standby.
    pub server: Option<Identity>,
    /// The last event of its log; `None` if the log is empty.
    pub last: Option<Sighting>,
    /// When the requested position was committed; `None` if the log lacks it.
    pub known_committed_at: Option<Timestamp>,
}

/// The conclusion from a [`PrimaryReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochVerdict {
    /// The log is the same as before.
    Same,
    /// Nothing shows a change, but no identity is stored yet: the caller stores it.
    Unnoted,
    /// The primary was restored or replaced.
    Changed(Evidence),
}

/// What shows that a primary was restored or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Evidence {
    /// Server, timeline or database differ from those stored.
    #[error("it is another server, timeline or database")]
    Elsewhere,
    /// This process has seen an event that the log does not have.
    #[error("its log lacks an event that this process has seen")]
    Forgotten,
    /// The replica has applied an event that the log does not have.
    #[error("its log ends before what the replica has applied")]
    BehindReplica,
}

impl PrimaryReport {
    /// Decides whether the log is the same as before. `seen` is an event that this process saw; `applied` is how far
    /// the replica had applied the log. Both must date from before the primary was asked.
    #[must_use]
    pub fn judge(&self, seen: Option<Sighting>, applied: Option<LogEnd>) -> EpochVerdict {
        if self.noted.is_some() && self.noted != self.server {
            return EpochVerdict::Changed(Evidence::Elsewhere);
        }
        let forgotten =
            |seen: Sighting| seen.epoch == self.epoch && self.known_committed_at != Some(seen.committed_at);
        if seen.is_some_and(forgotten) {
            return EpochVerdict::Changed(Evidence::Forgotten);
        }
        let end = self.last.map_or(0, |last| last.position);
        if applied.is_some_and(|applied| applied.epoch == self.epoch && end < applied.position) {
            return EpochVerdict::Changed(Evidence::BehindReplica);
        }
        if self.noted.is_none() { EpochVerdict::Unnoted } else { EpochVerdict::Same }
    }
}

/// Asks the primary for its report, including when position `known` was committed.
///
/// # Errors
/// The primary refused, or the connection was lost.
pub(super) async fn state(session: &Session, known: i64) -> Result<PrimaryReport, Error> {
    let row = session.query_one(STATE, &[&known]).await?;
    let epoch = row.try_get("epoch")?;
    let last = row.try_get::<_, Option<i64>>("position")?.zip(row.try_get("committed_at")?);
    Ok(PrimaryReport {
        epoch,
        noted: identity(&row, ["system_identifier", "timeline", "database"])?,
        server: identity(&row, ["server_system_identifier", "server_timeline", "server_database"])?,
        last: last.map(|(position, committed_at)| Sighting { epoch, position, committed_at }),
        known_committed_at: row.try_get("known_committed_at")?,
    })
}

fn identity(
    row: &Row,
    [system_identifier, timeline, database]: [&str; 3],
) -> Result<Option<Identity>, Error> {
    let system_identifier: Option<i64> = row.try_get(system_identifier)?;
    let (timeline, database): (Option<i64>, Option<u32>) = (row.try_get(timeline)?, row.try_get(database)?);
    let all = system_identifier.zip(timeline).zip(database);
    Ok(all.map(|((system_identifier, timeline), database)| Identity {
        system_identifier,
        timeline,
        database,
    }))
}

/// Stores the identity of the server that has the log of this epoch.
///
/// # Errors
/// The primary refused, or the connection was lost.
pub(super) async fn note(session: &mut Session, epoch: Uuid, server: Identity) -> Result<(), Error> {
    let Identity { system_identifier, timeline, database } = server;
    // Read-only sessions run this check too, so the transaction must ask to write.
    let transaction = session.writing_transaction().await?;
    transaction.execute(NOTE, &[&epoch, &system_identifier, &timeline, &database]).await?;
    transaction.commit().await
}

/// Replaces `epoch` by a new one. Takes the commit lock, so that every event committed later has the new epoch. `None`
/// if another process was sooner.
///
/// # Errors
/// The primary refused, or the connection was lost; it may or may not have the new epoch.
pub(super) async fn renew(
    session: &mut Session,
    epoch: Uuid,
    server: Identity,
) -> Result<Option<Uuid>, Error> {
    let Identity { system_identifier, timeline, database } = server;
    let transaction = session.writing_transaction().await?;
    transaction.batch_execute("SET LOCAL synchronous_commit = on").await?;
    transaction.batch_execute(&take_commit_lock()).await?;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&epoch, &system_identifier, &timeline, &database];
    let renewed = transaction.query_opt(RENEW, &params).await?;
    let renewed = renewed.map(|row| row.try_get("epoch")).transpose()?;
    transaction.commit().await?;
    Ok(renewed)
}
