//! Applies one batch in one transaction.

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    messages::event::LoggedEvent,
    position::Position,
    postgres::{Fault, Transaction},
};
use tokio::time::timeout;
use tokio_postgres::Error;
use uuid::Uuid;

use super::{
    fault::{ApplyError, may_lie_in_content},
    newest_versions::NewestVersions,
    ranges::Ranges,
    session::ReplicaSession,
    statements::{Param, Statements},
};
use crate::batch::Batch;

/// Bound for a transaction; then the consumer drops the connection. Longer than the server's own bounds, which apply
/// first unless the server hangs.
pub(super) const APPLY_DEADLINE: Duration = Duration::from_secs(15);

/// The result of applying a batch, durable on the replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// Number of the batch's dead letters.
    pub dead_lettered: usize,
    /// Number of dead letters that could not be stored. They settle no position.
    pub not_stored: usize,
}

/// Why a batch was not applied together.
pub(super) enum Together {
    /// The replica names the data as the cause.
    Data,
    /// Any other cause.
    Failed(ApplyError),
}

/// The usual case: events only, all applicable. Sends all statements at once, in this order, and reads their results
/// before it sends the commit.
pub(super) async fn apply_together(
    replica: &mut ReplicaSession,
    batch: &Batch<'_>,
) -> Result<Applied, Together> {
    let applied = timeout(APPLY_DEADLINE, apply_in_one(replica, batch)).await;
    applied.unwrap_or(Err(ApplyError::Deadline)).map_err(|error| match error {
        ApplyError::Replica(error) if replica.session.fault(&error) == Fault::Data => Together::Data,
        ApplyError::Replica(error) if may_lie_in_content(&error) && !replica.session.is_closed() => {
            Together::Failed(ApplyError::Refused(error))
        }
        error => Together::Failed(error),
    })
}

async fn apply_in_one(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let transaction = session.transaction().await?;
    let epoch = epochs(batch).next();
    let (locked, projected, applied_through) = tokio::join!(
        biased;
        lock_status(&transaction, statements, batch),
        project(&transaction, statements, batch.events.iter().map(|received| &received.event)),
        settle(&transaction, statements, settled_by(batch), epoch),
    );
    locked?;
    projected?;
    let applied_through = applied_through?;
    transaction.commit().await?;
    Ok(Applied { applied_through, ..Applied::default() })
}

/// Locks the status row and checks the epoch: the first statement of every transaction that applies.
pub(super) async fn lock_status(
    transaction: &Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<(), ApplyError> {
    let row = transaction.query_one(&statements.lock_status, &[]).await?;
    let mut epochs = row.try_get::<_, Option<Uuid>>("epoch")?.into_iter().chain(epochs(batch));
    let Some(held) = epochs.next() else { return Ok(()) };
    match epochs.find(|met| *met != held) {
        Some(met) => Err(ApplyError::ForeignEpoch { held, met }),
        None => Ok(()),
    }
}

pub(super) fn epochs(batch: &Batch<'_>) -> impl Iterator<Item = Uuid> {
    batch.events.iter().map(|received| received.event.epoch)
}

/// Writes events to rows, whatever their order.
pub(super) async fn project<'e>(
    transaction: &Transaction<'_>,
    statements: &Statements,
    events: impl IntoIterator<Item = &'e LoggedEvent>,
) -> Result<(), Error> {
    let NewestVersions { upserts, deletes } = NewestVersions::of(events);
    let bury = async {
        if deletes.uuids.is_empty() {
            return Ok(0);
        }
        let params: [Param<'_>; 3] = [&deletes.uuids, &deletes.versions, &deletes.deleted_at];
        transaction.execute(&statements.delete, &params).await
    };
    let upsert = async {
        if upserts.uuids.is_empty() {
            return Ok(0);
        }
        let params: [Param<'_>; 7] = [
            &upserts.uuids,
            &upserts.versions,
            &upserts.created_at,
            &upserts.updated_at,
            &upserts.statuses,
            &upserts.names,
            &upserts.documents,
        ];
        transaction.execute(&statements.upsert, &params).await
    };
    let (buried, upserted) = tokio::join!(biased; bury, upsert);
    buried.and(upserted).map(|_| ())
}

/// The positions and commit times of a batch's events.
pub(super) fn settled_by(batch: &Batch<'_>) -> impl Iterator<Item = (Position, Timestamp)> {
    batch.events.iter().map(|received| (received.event.position, received.event.committed_at))
}

/// Records settled positions and returns the last one without a gap before it. The caller reads the result before
/// the commit, which would report success for a failed transaction.
pub(super) async fn settle(
    transaction: &Transaction<'_>,
    statements: &Statements,
    settled: impl IntoIterator<Item = (Position, Timestamp)>,
    epoch: Option<Uuid>,
) -> Result<i64, Error> {
    let settled = Ranges::covering(settled);
    let params: [Param<'_>; 4] = [&settled.firsts, &settled.lasts, &settled.last_times, &epoch];
    transaction.query_one(&statements.settle, &params).await?.try_get("applied_through")
}
