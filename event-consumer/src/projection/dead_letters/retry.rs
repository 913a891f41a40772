//! The step: one dead letter, applied after all. It goes through the same projection as every event, at any time and in
//! any order: what is older than the row changes nothing, and a running consumer is kept waiting by the lock only.

use shared::postgres::{Fault, Transaction};
use tokio::time::timeout;

use super::{properties_of, reason_of};
use crate::{
    batch::{Batch, storable},
    projection::{
        apply::{APPLY_DEADLINE, lock_status, project, settle},
        fault::ApplyError,
        repair::{Repaired, recount, repair_rows},
        session::ReplicaSession,
        statements::{DEAD_LETTER, FORGET, NOTE_FAILURE, Param, Statements},
    },
};

/// What a retry came to. It is durable on the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The letter was applied and is gone.
    Applied,
    /// It stays, with this reason.
    Failed {
        /// Why it could not be applied this time.
        reason: String,
    },
    /// There is no such letter.
    Absent,
}

/// Applies a letter in one transaction with its removal; or notes why that failed again.
///
/// # Errors
/// [`ApplyError`]: the fault is not the letter's own. Nothing has changed, or (the connection was lost around the commit)
/// all of it.
pub async fn retry(replica: &mut ReplicaSession, id: i64) -> Result<Retried, ApplyError> {
    timeout(APPLY_DEADLINE, retry_now(replica, id)).await.unwrap_or(Err(ApplyError::Deadline))
}

async fn retry_now(replica: &mut ReplicaSession, id: i64) -> Result<Retried, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let mut transaction = session.transaction().await?;
    // Before the letter, as everywhere: whoever holds a letter waits for nobody.
    lock_status(&transaction, statements, &Batch::default()).await?;
    let Some(row) = transaction.query_opt(DEAD_LETTER, &[&id]).await? else {
        return Ok(Retried::Absent);
    };
    let (position, headers, body): (Option<i64>, String, Vec<u8>) =
        (row.try_get("position")?, row.try_get("headers")?, row.try_get("body")?);
    let properties = properties_of(&headers);
    let batch = Batch::of_dead_letter(&body, &properties);
    let failure = match unfit(&batch, position) {
        Some(reason) => Some(reason),
        None => refused(&mut transaction, statements, &batch).await?,
    };
    let params: (i64, Option<&String>) = (id, failure.as_ref());
    let (forget, note): ([Param<'_>; 1], [Param<'_>; 2]) = ([&params.0], [&params.0, &params.1]);
    match &failure {
        None => transaction.execute(FORGET, &forget).await?,
        Some(_) => transaction.execute(NOTE_FAILURE, &note).await?,
    };
    transaction.commit().await?;
    Ok(failure.map_or(Retried::Applied, |reason| Retried::Failed { reason }))
}

/// Why the letter cannot be applied, as far as can be said without trying.
fn unfit(batch: &Batch<'_>, position: Option<i64>) -> Option<String> {
    if let Some(unreadable) = batch.unreadable.first() {
        return Some(unreadable.reason.clone());
    }
    let other = |settled| batch.events.iter().find(|received| received.event.position.get() != settled);
    let other = position.and_then(other)?.event.position;
    Some(format!("it is the event of another position than the letter's: {other}"))
}

/// Applies what was read; or says why the replica refuses it, and takes back what was applied.
async fn refused(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<Option<String>, ApplyError> {
    if let Err(error) = lock_status(transaction, statements, batch).await {
        return match error {
            ApplyError::ForeignEpoch { .. } => Ok(Some(storable(&error.to_string()))),
            error => Err(error),
        };
    }
    let savepoint = transaction.transaction().await?;
    match apply_all(&savepoint, statements, batch).await {
        Ok(Repaired::Done) => savepoint.commit().await?,
        Ok(Repaired::ForeignEpoch) => {
            savepoint.rollback().await?;
            return Ok(Some("it is a repair of another epoch than the replica holds".to_owned()));
        }
        Err(error) if Fault::of_rollback(&error) == Fault::Data => {
            savepoint.rollback().await?;
            return Ok(Some(reason_of(&error)));
        }
        Err(error) => return Err(error.into()),
    }
    settle(transaction, statements, batch).await?;
    Ok(None)
}

/// Events or a repair: a letter is one of the two. A repair that comes so late changes only what nobody has written since.
async fn apply_all(
    transaction: &Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<Repaired, tokio_postgres::Error> {
    project(transaction, statements, &batch.events).await?;
    for received in &batch.repairs {
        if repair_rows(transaction, statements, &received.repair).await? == Repaired::ForeignEpoch {
            return Ok(Repaired::ForeignEpoch);
        }
        if received.repair.summary {
            recount(transaction, statements, &received.repair).await?;
        }
    }
    Ok(Repaired::Done)
}
