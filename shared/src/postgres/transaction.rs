//! A transaction whose calls have the deadline of its session.

use tokio_postgres::{Error, Row, ToStatement, types::ToSql};

use super::deadline::AnswerDeadline;

/// A parameter of a statement.
pub(super) type Param<'p> = &'p (dyn ToSql + Sync);

/// A transaction, or a savepoint in one, with the deadline of its session. Rolled back when it is dropped.
pub struct Transaction<'s> {
    open: tokio_postgres::Transaction<'s>,
    deadline: &'s AnswerDeadline,
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("deadline", self.deadline).finish_non_exhaustive()
    }
}

impl<'s> Transaction<'s> {
    pub(super) fn new(open: tokio_postgres::Transaction<'s>, deadline: &'s AnswerDeadline) -> Self {
        Self { open, deadline }
    }

    /// The only row of a statement.
    ///
    /// # Errors
    /// The server refused, the connection was lost, or there is not exactly one row.
    pub async fn query_one<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Row, Error> {
        self.deadline.bound(self.open.query_one(statement, params)).await
    }

    /// The row of a statement, if it has one.
    ///
    /// # Errors
    /// The server refused, the connection was lost, or there are several rows.
    pub async fn query_opt<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, Error> {
        self.deadline.bound(self.open.query_opt(statement, params)).await
    }

    /// Runs a statement; how many rows it touched.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn execute<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<u64, Error> {
        self.deadline.bound(self.open.execute(statement, params)).await
    }

    /// Runs several statements, sent as one message. The deadline is for all of them.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.deadline.bound(self.open.batch_execute(sql)).await
    }

    /// Sets a savepoint. Committed, it is a part of this transaction; dropped, it is rolled back alone.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let open = self.deadline.bound(self.open.transaction()).await?;
        Ok(Transaction::new(open, self.deadline))
    }

    /// Commits.
    ///
    /// # Errors
    /// The server refused; or the connection was lost, and the transaction may be committed.
    pub async fn commit(self) -> Result<(), Error> {
        self.deadline.bound(self.open.commit()).await
    }

    /// Rolls back, and waits for the answer.
    ///
    /// # Errors
    /// The connection was lost; the server then rolls back by itself.
    pub async fn rollback(self) -> Result<(), Error> {
        self.deadline.bound(self.open.rollback()).await
    }
}
