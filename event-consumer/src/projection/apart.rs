//! Takes a batch apart, so that only what the replica refuses becomes a dead letter.

use jiff::Timestamp;
use shared::{messages::event::EventType, postgres::Transaction, process::cause::chain};
use tokio::time::timeout;
use tokio_postgres::Error;
use uuid::Uuid;

use super::{
    apply::{APPLY_DEADLINE, Applied, Together, apply_together, epochs, lock_status, project, settle},
    control::apply_control,
    dead_letters::DeadLetter,
    fault::{ApplyError, Blame, may_lie_in_content},
    repair::{recount_summary, repair_slots},
    session::ReplicaSession,
    statements::{CONSTRAINTS_AT_ONCE, Statements},
    store::{Stored, store_letters},
};
use crate::batch::{Batch, Received};

/// How many groups of events one transaction tries. Then it commits, and the next one takes the rest: the time of a
/// transaction must not grow with the number of refused events.
const GROUPS_MAX: usize = 256;

/// Applies a batch: rows, summary, dead letters and settled positions, then its repairs. A message that the replica
/// refuses for its data is dead-lettered; the rest goes on.
///
/// # Errors
/// [`ApplyError`]; the batch may be applied in part, but not acknowledged. Applying it again changes nothing. After
/// [`ApplyError::Refused`] the caller connects again and calls [`apply_refused`].
pub async fn apply_batch(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    // Letters and repairs are rare, and the replica may refuse each separately.
    if batch.repairs.is_empty() && batch.unreadable.is_empty() {
        match apply_together(replica, batch).await {
            Ok(applied) => return Ok(applied),
            Err(Together::Failed(error)) => return Err(error),
            Err(Together::Data) => {}
        }
    }
    apply_apart(replica, batch, Blame::Data).await
}

/// Applies a batch that the replica has refused before, on another connection. Whatever it refuses again for a reason
/// that may lie in the content is dead-lettered alone, whatever the SQLSTATE.
///
/// # Errors
/// As [`apply_batch`].
pub async fn apply_refused(replica: &mut ReplicaSession, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
    apply_apart(replica, batch, Blame::Content).await
}

async fn apply_apart(
    replica: &mut ReplicaSession,
    batch: &Batch<'_>,
    blame: Blame,
) -> Result<Applied, ApplyError> {
    let mut groups = vec![batch.events.as_slice()];
    let mut applied = Applied::default();
    while !groups.is_empty() {
        let step = apply_groups(replica, batch, blame, &mut groups);
        let step = timeout(APPLY_DEADLINE, step).await.unwrap_or(Err(ApplyError::Deadline))?;
        applied.applied_through = step.applied_through;
        applied.dead_lettered += step.dead_lettered;
        applied.not_stored += step.not_stored;
    }
    Ok(applied)
}

/// One transaction: tries up to [`GROUPS_MAX`] groups. The last one also takes what is no event.
async fn apply_groups<'d>(
    replica: &mut ReplicaSession,
    batch: &Batch<'d>,
    blame: Blame,
    groups: &mut Vec<&[Received<'d>]>,
) -> Result<Applied, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let mut transaction = session.transaction().await?;
    transaction.batch_execute(CONSTRAINTS_AT_ONCE).await?;
    lock_status(&transaction, statements, batch).await?;
    let mut letters = Vec::new();
    project_apart(&mut transaction, statements, blame, groups, &mut letters).await?;
    let is_last = groups.is_empty();
    if is_last {
        letters.extend(batch.unreadable.iter().map(DeadLetter::unreadable));
        repair_slots(&mut transaction, statements, batch, blame, &mut letters).await?;
    }
    let stored = store_letters(&mut transaction, statements, &letters).await?;
    let epoch = epochs(batch).next();
    let applied_through = settle_letters(&mut transaction, statements, &letters, &stored, epoch).await?;
    if is_last {
        recount_summary(&mut transaction, statements, batch).await?;
    }
    transaction.commit().await?;
    let not_stored = stored.missing(&letters);
    Ok(Applied { applied_through, dead_lettered: letters.len() - not_stored, not_stored })
}

/// Halves each refused group until the refused event is alone. n events make at most 2n-1 groups.
async fn project_apart<'d>(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    blame: Blame,
    groups: &mut Vec<&[Received<'d>]>,
    letters: &mut Vec<DeadLetter<'d>>,
) -> Result<(), ApplyError> {
    let mut controlled: Vec<EventType> = Vec::new();
    for _ in 0..GROUPS_MAX {
        let Some(group) = groups.pop() else { return Ok(()) };
        let savepoint = transaction.transaction().await?;
        match (apply_group(&savepoint, statements, group).await, group) {
            (Ok(()), _) => savepoint.commit().await?,
            (Err(error), _) if !blame.covers(&error) => return Err(blame.uncovered(error)),
            (Err(error), [culprit]) => {
                savepoint.rollback().await?;
                let kind = EventType::of(&culprit.event.event);
                if !controlled.contains(&kind) {
                    apply_control(transaction, statements, &culprit.event).await?;
                    controlled.push(kind);
                }
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
    Ok(())
}

/// Applies and settles a group, so that its transaction may commit without the groups that follow.
async fn apply_group(
    transaction: &Transaction<'_>,
    statements: &Statements,
    group: &[Received<'_>],
) -> Result<(), Error> {
    project(transaction, statements, group.iter().map(|received| &received.event)).await?;
    let settled = group.iter().map(|received| (received.event.position, received.event.committed_at));
    settle(transaction, statements, settled, group.first().map(|first| first.event.epoch)).await?;
    Ok(())
}

/// Settles the positions whose dead letters are stored. If the replica refuses them, they stay missing.
async fn settle_letters(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    letters: &[DeadLetter<'_>],
    stored: &Stored,
    epoch: Option<Uuid>,
) -> Result<i64, ApplyError> {
    // The commit time of an unreadable message is unknown. `as_of` may be too old for it, but never too new.
    let settled = letters
        .iter()
        .filter(|letter| stored.settles(letter))
        .filter_map(|letter| Some((letter.position?, letter.committed_at.unwrap_or(Timestamp::UNIX_EPOCH))));
    let savepoint = transaction.transaction().await?;
    match settle(&savepoint, statements, settled, epoch).await {
        Ok(applied_through) => {
            savepoint.commit().await?;
            return Ok(applied_through);
        }
        Err(error) if may_lie_in_content(&error) => {
            savepoint.rollback().await?;
            tracing::warn!(error = chain(&error), "the positions of dead letters are not settled");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(settle(transaction, statements, [], epoch).await?)
}
