//! Applies one batch in one transaction.

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    postgres::{Fault, Transaction},
    process::cause::chain,
};
use tokio::time::timeout;
use tokio_postgres::Error;
use uuid::Uuid;

use super::{
    dead_letters::{DeadLetter, DeadLetterColumns},
    fault::ApplyError,
    newest_versions::NewestVersions,
    ranges::Ranges,
    repair::{recount_summary, repair_slots},
    session::ReplicaSession,
    statements::{Param, Statements},
};
use crate::batch::{Batch, Received};

/// Bound for a batch; then the consumer drops the connection. Longer than the server's own bounds, which apply first
/// unless the server hangs.
pub(super) const APPLY_DEADLINE: Duration = Duration::from_secs(15);

/// The result of applying a batch, durable on the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// Number of the batch's dead letters.
    pub dead_lettered: usize,
}

/// Applies a batch in one transaction: rows, summary, dead letters and settled positions, then its repairs. A message
/// that the replica refuses for its content is dead-lettered; the rest goes on.
///
/// # Errors
/// [`ApplyError`]; nothing of the batch is applied. If the connection was lost around the commit, all of it may be;
/// applying it again changes nothing.
pub async fn apply_batch(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    let applying = async {
        // Repairs are rare, and the replica may refuse each separately.
        if !batch.repairs.is_empty() {
            return apply_separately(replica, batch).await;
        }
        match apply_together(replica, batch).await {
            Err(ApplyError::Replica(error)) if replica.session.fault(&error) == Fault::Data => {
                apply_separately(replica, batch).await
            }
            result => result,
        }
    };
    timeout(APPLY_DEADLINE, applying).await.unwrap_or(Err(ApplyError::Deadline))
}

/// The usual case: events only, all applicable. Sends all statements at once, in this order, and reads their results
/// before it sends the commit.
async fn apply_together(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let transaction = session.transaction().await?;
    let letters: Vec<_> = batch.unreadable.iter().map(DeadLetter::unreadable).collect();
    let (locked, projected, letters_written, applied_through) = tokio::join!(
        biased;
        lock_status(&transaction, statements, batch),
        project(&transaction, statements, &batch.events),
        write_dead_letters(&transaction, statements, &letters),
        settle(&transaction, statements, batch),
    );
    locked?;
    projected?;
    letters_written?;
    let applied_through = applied_through?;
    transaction.commit().await?;
    Ok(Applied { applied_through, dead_lettered: letters.len() })
}

/// For a batch with refused events or repairs: halves the events until each refused one is alone. n events make at
/// most 2n-1 groups.
async fn apply_separately(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let mut transaction = session.transaction().await?;
    lock_status(&transaction, statements, batch).await?;
    let mut letters: Vec<_> = batch.unreadable.iter().map(DeadLetter::unreadable).collect();
    let mut groups = vec![batch.events.as_slice()];
    while let Some(group) = groups.pop() {
        let savepoint = transaction.transaction().await?;
        match (project(&savepoint, statements, group).await, group) {
            (Ok(()), _) => savepoint.commit().await?,
            (Err(error), _) if Fault::of_rollback(&error) != Fault::Data => return Err(error.into()),
            (Err(error), [culprit]) => {
                savepoint.rollback().await?;
                let position = culprit.event.position.get();
                tracing::warn!(
                    event.position = position,
                    trace_id = culprit.event.trace_id(),
                    error = chain(&error),
                    "event dead-lettered"
                );
                letters.push(DeadLetter::refused(culprit, &error));
            }
            (Err(_), _) => {
                savepoint.rollback().await?;
                let (first, second) = group.split_at(group.len() / 2);
                groups.extend([second, first]);
            }
        }
    }
    repair_slots(&mut transaction, statements, batch, &mut letters).await?;
    write_dead_letters(&transaction, statements, &letters).await?;
    let applied_through = settle(&transaction, statements, batch).await?;
    recount_summary(&mut transaction, statements, batch).await?;
    transaction.commit().await?;
    Ok(Applied { applied_through, dead_lettered: letters.len() })
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

fn epochs(batch: &Batch<'_>) -> impl Iterator<Item = Uuid> {
    batch.events.iter().map(|received| received.event.epoch)
}

/// Writes events to rows, whatever their order.
pub(super) async fn project(
    transaction: &Transaction<'_>,
    statements: &Statements,
    events: &[Received<'_>],
) -> Result<(), Error> {
    let NewestVersions { upserts, deletes } =
        NewestVersions::of(events.iter().map(|received| &received.event));
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
        let params: [Param<'_>; 6] = [
            &upserts.uuids,
            &upserts.versions,
            &upserts.created_at,
            &upserts.updated_at,
            &upserts.statuses,
            &upserts.names,
        ];
        transaction.execute(&statements.upsert, &params).await
    };
    let (buried, upserted) = tokio::join!(biased; bury, upsert);
    buried.and(upserted).map(|_| ())
}

async fn write_dead_letters(
    transaction: &Transaction<'_>,
    statements: &Statements,
    letters: &[DeadLetter<'_>],
) -> Result<(), Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let columns = DeadLetterColumns::of(letters);
    let params: [Param<'_>; 5] =
        [&columns.positions, &columns.types, &columns.reasons, &columns.headers, &columns.bodies];
    transaction.execute(&statements.dead_lettered, &params).await.map(|_| ())
}

/// Records the settled positions and returns the last one without a gap before it. The caller reads the result before
/// the commit, which would report success for a failed transaction.
pub(super) async fn settle(
    transaction: &Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<i64, Error> {
    let events = batch.events.iter().map(|received| (received.event.position, received.event.committed_at));
    // The commit time of an unreadable message is unknown. `as_of` may be too old for it, but never too new.
    let unread = batch.unreadable.iter().filter_map(|unreadable| unreadable.position);
    let settled = Ranges::covering(events.chain(unread.map(|position| (position, Timestamp::UNIX_EPOCH))));
    let epoch = epochs(batch).next();
    let params: [Param<'_>; 4] = [&settled.firsts, &settled.lasts, &settled.last_times, &epoch];
    transaction.query_one(&statements.settle, &params).await?.try_get("applied_through")
}
