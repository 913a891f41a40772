//! Stores dead letters. What the replica refuses is left out, and settles no position; so is what exceeds the bounds.

use std::collections::{HashMap, HashSet};

use shared::{postgres::Transaction, process::cause::chain};
use tokio_postgres::Error;

use super::{
    dead_letters::DeadLetter,
    fault::{ApplyError, may_lie_in_content},
    statements::{Param, STORED_LETTERS, Statements},
};

/// The most dead letters that are open at a time.
const OPEN_MAX_LETTERS: i64 = 10_000;

/// The most bytes of bodies and headers in open dead letters.
const OPEN_MAX_BYTES: i64 = 64 * 1024 * 1024;

/// How many groups of refused letters one transaction tries; it leaves out the rest.
const GROUPS_MAX: usize = 256;

/// Which letters are stored, and with which position.
#[derive(Debug, Default)]
pub(super) struct Stored(HashMap<Vec<u8>, Option<i64>>);

impl Stored {
    /// Whether the letter is stored with its position, so that the position may count as settled.
    pub(super) fn settles(&self, letter: &DeadLetter<'_>) -> bool {
        let position = letter.position.map(|position| position.get());
        position.is_some() && self.0.get(&letter.fingerprint) == Some(&position)
    }

    /// How many of these letters are not stored.
    pub(super) fn missing(&self, letters: &[DeadLetter<'_>]) -> usize {
        let fingerprints: HashSet<_> = letters.iter().map(|letter| &letter.fingerprint).collect();
        fingerprints.into_iter().filter(|fingerprint| !self.0.contains_key(*fingerprint)).count()
    }
}

/// Stores dead letters. The caller has locked the status row, and settles only the positions of stored letters.
pub(super) async fn store_letters(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    letters: &[DeadLetter<'_>],
) -> Result<Stored, ApplyError> {
    if letters.is_empty() {
        return Ok(Stored::default());
    }
    let mut groups = vec![letters];
    for _ in 0..GROUPS_MAX {
        let Some(group) = groups.pop() else { break };
        let savepoint = transaction.transaction().await?;
        match (write(&savepoint, statements, group).await, group) {
            (Ok(()), _) => savepoint.commit().await?,
            (Err(error), _) if !may_lie_in_content(&error) => return Err(error.into()),
            (Err(error), [letter]) => {
                savepoint.rollback().await?;
                write_reduced(transaction, statements, letter, &error).await?;
            }
            (Err(_), _) => {
                savepoint.rollback().await?;
                let (first, second) = group.split_at(group.len() / 2);
                groups.extend([second, first]);
            }
        }
    }
    let stored = read_stored(transaction, letters).await?;
    let not_stored = stored.missing(letters);
    if not_stored > 0 {
        tracing::warn!(
            not_stored,
            "dead letters are left out: the replica has no room for them, or refuses them"
        );
    }
    Ok(stored)
}

async fn write_reduced(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    letter: &DeadLetter<'_>,
    refusal: &Error,
) -> Result<(), ApplyError> {
    let savepoint = transaction.transaction().await?;
    match write(&savepoint, statements, &[letter.reduced(refusal)]).await {
        Ok(()) => Ok(savepoint.commit().await?),
        Err(error) if may_lie_in_content(&error) => {
            savepoint.rollback().await?;
            let position = letter.position.map(|position| position.get());
            tracing::warn!(event.position = position, error = chain(&error), "a dead letter is refused");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn write(
    transaction: &Transaction<'_>,
    statements: &Statements,
    letters: &[DeadLetter<'_>],
) -> Result<(), Error> {
    let column = |value: fn(&DeadLetter<'_>) -> Option<i64>| letters.iter().map(value).collect::<Vec<_>>();
    let positions = column(|letter| letter.position.map(|position| position.get()));
    let whole_bytes = column(|letter| letter.whole_bytes);
    let kinds: Vec<_> = letters.iter().map(|letter| &letter.kind).collect();
    let reasons: Vec<_> = letters.iter().map(|letter| &letter.reason).collect();
    let headers: Vec<_> = letters.iter().map(|letter| &letter.headers).collect();
    let bodies: Vec<_> = letters.iter().map(|letter| letter.body).collect();
    let fingerprints: Vec<_> = letters.iter().map(|letter| &letter.fingerprint).collect();
    let params: [Param<'_>; 9] = [
        &positions,
        &kinds,
        &reasons,
        &headers,
        &bodies,
        &whole_bytes,
        &fingerprints,
        &OPEN_MAX_LETTERS,
        &OPEN_MAX_BYTES,
    ];
    transaction.execute(&statements.dead_lettered, &params).await.map(|_| ())
}

async fn read_stored(
    transaction: &Transaction<'_>,
    letters: &[DeadLetter<'_>],
) -> Result<Stored, ApplyError> {
    let fingerprints: Vec<_> = letters.iter().map(|letter| &letter.fingerprint).collect();
    let mut stored = Stored::default();
    for row in transaction.query(STORED_LETTERS, &[&fingerprints]).await? {
        stored.0.insert(row.try_get("fingerprint")?, row.try_get("position")?);
    }
    Ok(stored)
}
