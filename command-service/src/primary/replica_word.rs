//! What the replica says of the log that it copies: a primary whose log is shorter was restored or replaced.

use std::time::Duration;

use shared::postgres::{DatabaseUrl, SessionKind};

use crate::register::place::LogEnd;

/// A replica that answers nothing in time says nothing. [`Primary`](super::connection::Primary) goes on without it even
/// sooner.
const KIND: SessionKind = SessionKind {
    step: "replica watch",
    options: "-c statement_timeout=1s",
    deadline: Duration::from_millis(1_200),
};

pub(super) const APPLIED: &str = "SELECT epoch, applied_through FROM replication_status";

/// Up to where the replica has applied the log, as it says after this was called. `None` if it has applied nothing, is
/// away, or says nothing that can be read.
pub(super) async fn applied(replica: &DatabaseUrl) -> Option<LogEnd> {
    let session = replica.connect(KIND).await.ok()?;
    let row = session.query_one(APPLIED, &[]).await.ok()?;
    let epoch: Option<uuid::Uuid> = row.try_get("epoch").ok()?;
    Some(LogEnd { epoch: epoch?, position: row.try_get("applied_through").ok()? })
}
