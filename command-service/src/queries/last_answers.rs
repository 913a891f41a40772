//! The answers of a reader's last statement. They hold as long as nothing changes on the replica.
//!
//! The proof is PostgreSQL's snapshot, which a statement reads that begins after the questions came.
//!
//! - A snapshot names `xmax`, one past the highest number of a transaction that has ended, and the transactions below
//!   `xmax` that are in progress. It shows the changes of all committed transactions below `xmax` but those.
//! - A transaction that ends either leaves that list or raises `xmax`. Neither is ever undone, because a number has 64
//!   bits and never returns. A transaction without a number has changed nothing.
//! - So between two equal snapshots no change became visible. That covers an edit by hand, a change of the schema and the
//!   batches of the consumer alike, and the statements read nothing but tables.
//!
//! A server that starts again, perhaps from a backup, ends its connections first. The kept answers belong to a
//! connection, and end with it. A standby does not list the transactions in progress: its snapshot proves nothing, so
//! nothing is kept.

use std::{collections::HashMap, hash::Hash};

use shared::postgres::Session;
use tokio::time::Instant;
use tokio_postgres::Statement;

use super::{
    asked::{Asked, reply_all},
    status::{SharedStatus, snapshot},
};

/// The statement's own snapshot; null on a standby.
pub(super) const SNAPSHOT: &str = concat!("SELECT ", snapshot!());

/// The most rows that are kept. A page that would exceed them is not kept.
const ROWS_MAX: usize = 1_024;

/// The answers of the last statement on a connection, by question, and the status in its snapshot.
#[derive(Debug)]
pub(super) struct LastAnswers<Q, T> {
    status: SharedStatus,
    answers: HashMap<Q, T>,
    rows: usize,
}

impl<Q, T> Default for LastAnswers<Q, T> {
    fn default() -> Self {
        Self { status: SharedStatus::default(), answers: HashMap::new(), rows: 0 }
    }
}

impl<Q: Clone + Eq + Hash, T: Clone> LastAnswers<Q, T> {
    /// Forgets all answers. Those to come belong to a statement that found this status.
    pub(super) fn begin(&mut self, status: &SharedStatus) {
        *self = Self { status: status.clone(), ..Self::default() };
    }

    /// Keeps an answer of at most `rows` rows, if there is room.
    pub(super) fn keep(&mut self, query: &Q, answer: &T, rows: usize) {
        if self.status.snapshot().is_some() && self.rows + rows <= ROWS_MAX {
            self.rows += rows;
            self.answers.insert(query.clone(), answer.clone());
        }
    }

    /// Answers the questions if all answers are kept and hold. Otherwise returns the questions. `snapshot` is the
    /// prepared [`SNAPSHOT`].
    pub(super) async fn answer(
        &self,
        session: &Session,
        snapshot: &Statement,
        asked: Vec<Asked<Q, T>>,
    ) -> Vec<Asked<Q, T>> {
        if asked.is_empty() {
            return asked;
        }
        let Some(known) = asked.iter().map(|asked| self.known(asked)).collect::<Option<Vec<T>>>() else {
            return asked;
        };
        let sent_at = Instant::now();
        // The questions' own statement meets the same fault, and reports it.
        let seen = session.query_one(snapshot, &[]).await.and_then(|row| row.try_get::<_, Option<String>>(0));
        if !matches!(&seen, Ok(Some(seen)) if self.status.snapshot() == Some(seen)) {
            return asked;
        }
        let receipts = vec![0..0; asked.len()];
        let found = Ok((self.status.clone(), known));
        match reply_all(asked, &receipts, sent_at, found, |known, number, _, _| known[number].clone()) {
            Ok(()) => Vec::new(),
            Err((_, asked)) => asked,
        }
    }

    /// A caller that hands receipts back asks for more than is kept: whether they name dead letters.
    fn known(&self, asked: &Asked<Q, T>) -> Option<T> {
        asked.handed_back.is_empty().then(|| self.answers.get(&asked.query).cloned()).flatten()
    }
}
