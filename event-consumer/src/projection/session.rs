//! The connection to the replica, with the projection's statements prepared.

use std::time::Duration;

use shared::postgres::{DatabaseUrl, Session, SessionKind};

use super::{fault::ReplicaOpenError, statements::Statements};

/// Bounds, from the inside out: 5 s to wait for a lock, 10 s for a statement, 11 s for the client to wait for an
/// answer. Then the client closes the session, keeps the batch and connects again.
pub(super) const KIND: SessionKind = SessionKind {
    step: "projection",
    options: "-c lock_timeout=5s -c statement_timeout=10s -c idle_in_transaction_session_timeout=5s \
              -c synchronous_commit=on",
    deadline: Duration::from_secs(11),
};

/// A connection on which batches are applied, one at a time.
#[derive(Debug)]
pub struct ReplicaSession {
    pub(super) session: Session,
    pub(super) statements: Statements,
}

impl ReplicaSession {
    /// Connects and prepares the statements.
    ///
    /// # Errors
    /// [`ReplicaOpenError`].
    pub async fn open(replica: &DatabaseUrl) -> Result<Self, ReplicaOpenError> {
        let session = replica.connect(KIND).await?;
        let statements = Statements::prepare(&session)
            .await
            .map_err(|error| ReplicaOpenError::preparing(error, &session))?;
        Ok(Self { session, statements })
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.session.lost().await;
    }
}
