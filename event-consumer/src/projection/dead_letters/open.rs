//! Open dead letters, as their operator sees them: listed, shown, discarded.

use jiff::Timestamp;
use shared::postgres::{DatabaseUrl, Session};
use tokio_postgres::{Error, Row};

use crate::projection::{
    fault::ReplicaOpenError,
    session::KIND,
    statements::{FORGET, LOCK_ROW, ONE, PAGE},
};

/// How many letters are read in one go.
const PAGE_LETTERS: i64 = 1_000;

/// A letter without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSummary {
    /// Its number.
    pub id: i64,
    /// The position that was settled by dead-lettering it; none for what could not be read.
    pub position: Option<i64>,
    /// The message's type, as it claimed.
    pub kind: Option<String>,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was dead-lettered first.
    pub dead_lettered_at: Timestamp,
    /// How often it was retried.
    pub retries: i32,
    /// Why the last retry failed.
    pub last_retry_reason: Option<String>,
    /// How long its body is.
    pub body_bytes: i32,
}

/// A letter with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDeadLetter {
    /// All but the content.
    pub summary: DeadLetterSummary,
    /// The message's properties and headers, as JSON.
    pub headers: String,
    /// The event, or the whole message if it could not be taken apart.
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
        })
    }
}

/// A connection on which letters are looked at.
#[derive(Debug)]
pub struct OpenDeadLetters(Session);

impl OpenDeadLetters {
    /// Connects.
    ///
    /// # Errors
    /// [`ReplicaOpenError`].
    pub async fn open(replica: &DatabaseUrl) -> Result<Self, ReplicaOpenError> {
        let session = replica.connect(KIND).await?;
        // Whether the schema is there is better said now than in the middle.
        session.prepare(PAGE).await.map_err(|error| ReplicaOpenError::preparing(error, &session))?;
        Ok(Self(session))
    }

    /// The letters behind the one with this number, in order; as many as one go takes. None are left when it is empty.
    ///
    /// # Errors
    /// The replica is down, or refused.
    pub async fn page_behind(&self, id: i64) -> Result<Vec<DeadLetterSummary>, Error> {
        self.0.query(PAGE, &[&id, &PAGE_LETTERS]).await?.iter().map(DeadLetterSummary::of).collect()
    }

    /// The letter with this number, if it is open.
    ///
    /// # Errors
    /// The replica is down, or refused.
    pub async fn one(&self, id: i64) -> Result<Option<OpenDeadLetter>, Error> {
        let Some(row) = self.0.query_opt(ONE, &[&id]).await? else { return Ok(None) };
        let (headers, body) = (row.try_get("headers")?, row.try_get("body")?);
        Ok(Some(OpenDeadLetter { summary: DeadLetterSummary::of(&row)?, headers, body }))
    }

    /// Forgets a letter. Its position, if it has one, stays settled: the replica is complete without that event. False:
    /// there is no such letter.
    ///
    /// # Errors
    /// The replica is down, or refused; the letter may be gone all the same.
    pub async fn discard(&mut self, id: i64) -> Result<bool, Error> {
        let transaction = self.0.transaction().await?;
        transaction.execute(LOCK_ROW, &[]).await?;
        let forgotten = transaction.execute(FORGET, &[&id]).await?;
        transaction.commit().await?;
        Ok(forgotten > 0)
    }
}
