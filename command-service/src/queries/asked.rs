//! A read that waits for its answer.

use std::{ops::Range, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    read_error::{BadRow, ReadError},
    status::{HandedBack, ReplicaStatus, SharedStatus},
};

/// The result of a read, the replica's status in the same snapshot, and the time it took.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The result.
    pub found: T,
    /// The replica's status in the snapshot of the result.
    pub status: ReplicaStatus,
    /// How long the read waited for a connection.
    pub waited: Duration,
    /// How long the query took.
    pub queried: Duration,
}

/// The answer to a question about `T`.
pub(super) type ReadAnswer<T> = Result<Read<T>, ReadError>;

/// A question about `T`, the receipts that its caller hands back, and the way back to the caller.
#[derive(Debug)]
pub(super) struct Asked<Q, T> {
    pub(super) query: Q,
    pub(super) handed_back: HandedBack,
    pub(super) asked_at: Instant,
    pub(super) reply: oneshot::Sender<ReadAnswer<T>>,
}

impl<Q, T> Asked<Q, T> {
    /// The question, and where its answer arrives.
    pub(super) fn new(query: Q, handed_back: HandedBack) -> (Self, oneshot::Receiver<ReadAnswer<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { query, handed_back, asked_at: Instant::now(), reply }, answer)
    }
}

/// Questions that a statement did not answer, and why.
pub(super) type Unanswered<Q, T> = (BadRow, Vec<Asked<Q, T>>);

/// The receipts of all callers together, and the numbers that each caller's have there.
pub(super) fn handed_back_by<Q, T>(asked: &[Asked<Q, T>]) -> (HandedBack, Vec<Range<usize>>) {
    let mut all = HandedBack::default();
    let numbers = asked.iter().map(|asked| all.append(&asked.handed_back)).collect();
    (all, numbers)
}

/// Gives every caller its part of what a statement has found. `receipts` are those of [`handed_back_by`]; the statement
/// was sent at `sent_at`.
///
/// # Errors
/// The statement found nothing: the questions come back.
pub(super) fn reply_all<Q, T, F>(
    asked: Vec<Asked<Q, T>>,
    receipts: &[Range<usize>],
    sent_at: Instant,
    found: Result<(SharedStatus, F), BadRow>,
    mut part: impl FnMut(&mut F, usize, &Q, &ReplicaStatus) -> T,
) -> Result<(), Unanswered<Q, T>> {
    let (status, mut found) = match found {
        Ok(found) => found,
        Err(error) => return Err((error, asked)),
    };
    let queried = sent_at.elapsed();
    for (number, (asked, receipts)) in asked.into_iter().zip(receipts).enumerate() {
        let status = status.of_caller(receipts);
        let found = part(&mut found, number, &asked.query, &status);
        let read = Read { found, status, waited: sent_at - asked.asked_at, queried };
        // The caller may be gone.
        let _ = asked.reply.send(Ok(read));
    }
    Ok(())
}

/// Gives every caller this answer.
pub(super) fn refuse_all<Q, T>(asked: Vec<Asked<Q, T>>, error: &ReadError) {
    for Asked { reply, .. } in asked {
        // The caller may be gone.
        let _ = reply.send(Err(error.clone()));
    }
}
