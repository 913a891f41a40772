//! A transaction whose calls have the deadline of its session.

use tokio_postgres::{Error, Row, ToStatement, types::ToSql};

use super::deadline::AnswerDeadline;

/// A parameter of a statement.
pub type Param<'p> = &'p (dyn ToSql + Sync);

/// A transaction or savepoint with the deadline of its session. Dropping it rolls it back.
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

    /// Returns the rows of a statement.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn query<T: ?Sized + ToStatement>(
        &self,
        statement: &T,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.deadline.bound(self.open.query(statement, params)).await
    }

    /// Returns the only row of a statement.
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

    /// Returns the row of a statement, if any.
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

    /// Runs a statement; returns the number of rows.
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

    /// Runs several statements, sent as one message. One deadline covers them all.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.deadline.bound(self.open.batch_execute(sql)).await
    }

    /// Sets a savepoint. Committing it joins this transaction; dropping it rolls back it alone.
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
    /// The server refused; or the connection was lost, and the transaction may have committed.
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
