//! Asks the replica how far it has applied the log. A primary whose log ends before that was restored or replaced.

use std::time::Duration;

use shared::postgres::{DatabaseUrl, SessionKind};

use crate::register::place::LogEnd;

/// A replica that answers nothing for 1.2 s counts as down. [`Primary`](super::connection::Primary) goes on without its
/// answer even sooner.
const KIND: SessionKind = SessionKind {
    step: "replica watch",
    options: "-c statement_timeout=1s",
    deadline: Duration::from_millis(1_200),
};

pub(super) const APPLIED: &str = "SELECT epoch, applied_through FROM replication_status";

/// Position up to which the replica has applied the log, as it reports after this call. `None` if it has applied
/// nothing, is down, or gives an answer that cannot be read.
pub(super) async fn applied(replica: &DatabaseUrl) -> Option<LogEnd> {
    let session = replica.connect(KIND).await.ok()?;
    let row = session.query_one(APPLIED, &[]).await.ok()?;
    let epoch: Option<uuid::Uuid> = row.try_get("epoch").ok()?;
    Some(LogEnd { epoch: epoch?, position: row.try_get("applied_through").ok()? })
}
