//! Applies one dead letter through the same projection as every event, at any time and in any order. One older than
//! the row changes nothing. A running consumer waits only for the lock.

use shared::postgres::Transaction;
use tokio::time::timeout;

use super::{STORED_CUT_BYTES, properties_of, reason_of};
use crate::{
    batch::{Batch, storable},
    projection::{
        apply::{APPLY_DEADLINE, epochs, lock_status, project, settle, settled_by},
        fault::{ApplyError, may_lie_in_content},
        repair::{Repaired, recount, repair_rows},
        session::ReplicaSession,
        statements::{DEAD_LETTER, FORGET, NOTE_FAILURE, Param, Statements},
    },
};

/// The result of a retry, durable on the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The dead letter was applied and deleted.
    Applied,
    /// The dead letter stays, with this reason.
    Failed {
        /// Why it could not be applied this time.
        reason: String,
    },
    /// There is no such dead letter.
    Absent,
}

/// Applies a dead letter and deletes it in one transaction; on failure stores the new reason.
///
/// # Errors
/// [`ApplyError`]: the fault is not the dead letter's own. Nothing has changed, unless the connection was lost around
/// the commit: then the retry may be complete.
pub async fn retry(replica: &mut ReplicaSession, id: i64) -> Result<Retried, ApplyError> {
    timeout(APPLY_DEADLINE, retry_now(replica, id)).await.unwrap_or(Err(ApplyError::Deadline))
}

async fn retry_now(replica: &mut ReplicaSession, id: i64) -> Result<Retried, ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let mut transaction = session.transaction().await?;
    // Comes first, as everywhere: a session with a dead letter's lock waits for no other.
    lock_status(&transaction, statements, &Batch::default()).await?;
    let Some(row) = transaction.query_opt(DEAD_LETTER, &[&id]).await? else {
        return Ok(Retried::Absent);
    };
    let (position, headers, body): (Option<i64>, String, Vec<u8>) =
        (row.try_get("position")?, row.try_get("headers")?, row.try_get("body")?);
    let properties = properties_of(&headers);
    let batch = Batch::of_dead_letter(&body, &properties);
    let whole_bytes: Option<i64> = row.try_get("whole_bytes")?;
    let failure = match whole_bytes.map(cut).or_else(|| unfit(&batch, position)) {
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

/// The reason for a body of which only the beginning is stored.
fn cut(whole_bytes: i64) -> String {
    format!(
        "only the beginning of its {whole_bytes} bytes is stored, at most {STORED_CUT_BYTES}: discard it; \
         command-service replay sends events again from the log"
    )
}

/// The reason, if the dead letter's content alone rules out a retry.
fn unfit(batch: &Batch<'_>, position: Option<i64>) -> Option<String> {
    if let Some(unreadable) = batch.unreadable.first() {
        return Some(unreadable.reason.clone());
    }
    let other = |settled| batch.events.iter().find(|received| received.event.position.get() != settled);
    let other = position.and_then(other)?.event.position;
    Some(format!("it is the event of another position than the letter's: {other}"))
}

/// Applies the batch; if the replica refuses it, rolls back and returns the reason.
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
        Err(error) if may_lie_in_content(&error) => {
            savepoint.rollback().await?;
            return Ok(Some(reason_of(&error)));
        }
        Err(error) => return Err(error.into()),
    }
    settle(transaction, statements, settled_by(batch), epochs(batch).next()).await?;
    Ok(None)
}

/// Applies events or a repair. A late repair changes only rows that were not written since.
async fn apply_all(
    transaction: &Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<Repaired, tokio_postgres::Error> {
    project(transaction, statements, batch.events.iter().map(|received| &received.event)).await?;
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
