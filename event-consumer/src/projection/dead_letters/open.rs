//! Lists, shows and discards open dead letters for the operator.

use jiff::Timestamp;
use shared::postgres::{DatabaseUrl, Session};
use tokio_postgres::{Error, Row};

use crate::projection::{
    fault::ReplicaOpenError,
    session::KIND,
    statements::{FORGET, LOCK_ROW, ONE, PAGE},
};

/// How many dead letters a page has at most.
const PAGE_LETTERS: i64 = 1_000;

/// A dead letter without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSummary {
    /// Its number.
    pub id: i64,
    /// The position that it settles; none if its event's position is not known.
    pub position: Option<i64>,
    /// The type that the message names.
    pub kind: Option<String>,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was first dead-lettered.
    pub dead_lettered_at: Timestamp,
    /// How often it was retried.
    pub retries: i32,
    /// Why the last retry failed.
    pub last_retry_reason: Option<String>,
    /// The length of its whole body, in bytes.
    pub body_bytes: i64,
    /// Whether only the beginning of the body is stored.
    pub is_cut: bool,
}

/// A dead letter with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDeadLetter {
    /// Everything but the content.
    pub summary: DeadLetterSummary,
    /// The message's properties and headers, as JSON.
    pub headers: String,
    /// The event, or the whole message if it could not be split into events; of a large one, the beginning.
    pub body: Vec<u8>,
}

impl DeadLetterSummary {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.try_get("id")?,
            position: row.try_get("position")?,
            kind: row.try_get("type")?,
            reason: row.try_get("reason")?,
            dead_lettered_at: row.try_get("dead_lettered_at")?,
            retries: row.try_get("retries")?,
            last_retry_reason: row.try_get("last_retry_reason")?,
            body_bytes: row.try_get("body_bytes")?,
            is_cut: row.try_get("is_cut")?,
        })
    }
}

/// A connection for listing, showing and discarding dead letters.
#[derive(Debug)]
pub struct OpenDeadLetters(Session);

impl OpenDeadLetters {
    /// Connects to the replica.
    ///
    /// # Errors
    /// [`ReplicaOpenError`].
    pub async fn open(replica: &DatabaseUrl) -> Result<Self, ReplicaOpenError> {
        let session = replica.connect(KIND).await?;
        // Reports a missing schema now rather than in the middle of the operator's work.
        session.prepare(PAGE).await.map_err(|error| ReplicaOpenError::preparing(error, &session))?;
        Ok(Self(session))
    }

    /// The next page of dead letters after this number, in order of their numbers. An empty page is the end.
    ///
    /// # Errors
    /// The replica is down, or refused.
    pub async fn page_behind(&self, id: i64) -> Result<Vec<DeadLetterSummary>, Error> {
        self.0.query(PAGE, &[&id, &PAGE_LETTERS]).await?.iter().map(DeadLetterSummary::of).collect()
    }

    /// The open dead letter with this number, if there is one.
    ///
    /// # Errors
    /// The replica is down, or refused.
    pub async fn one(&self, id: i64) -> Result<Option<OpenDeadLetter>, Error> {
        let Some(row) = self.0.query_opt(ONE, &[&id]).await? else { return Ok(None) };
        let (headers, body) = (row.try_get("headers")?, row.try_get("body")?);
        Ok(Some(OpenDeadLetter { summary: DeadLetterSummary::of(&row)?, headers, body }))
    }

    /// Deletes a dead letter. Its position, if it has one, stays settled: the replica counts as complete without that
    /// event. Returns false if there is no such dead letter.
    ///
    /// # Errors
    /// The replica is down, or refused; the dead letter may be deleted all the same.
    pub async fn discard(&mut self, id: i64) -> Result<bool, Error> {
        let transaction = self.0.transaction().await?;
        transaction.execute(LOCK_ROW, &[]).await?;
        let forgotten = transaction.execute(FORGET, &[&id]).await?;
        transaction.commit().await?;
        Ok(forgotten > 0)
    }
}
