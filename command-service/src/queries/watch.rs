//! Whether the replica answers, known without waiting for somebody to read.

use std::time::Duration;

use shared::{
    parts::Part,
    postgres::{DatabaseUrl, Fault, Session, SessionKind},
    retry::Pauses,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const KIND: SessionKind = SessionKind { step: "replica watch", options: "-c statement_timeout=1s" };

/// Fails when the replica answers but has no schema yet.
pub(super) const PROBE: &str = "SELECT applied_through FROM replication_status";

/// How often an open connection is asked; a closed one is noticed at once.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// Keeps a connection to the replica and reports to `part`, until `shutdown` is cancelled.
pub async fn run(replica: DatabaseUrl, part: Part, shutdown: CancellationToken) {
    let watching = async {
        let mut pauses = Pauses::new();
        loop {
            if let Some(session) = reach(&replica, &part).await {
                pauses = Pauses::new();
                while answers(&session).await {}
            }
            pauses.wait().await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}

async fn reach(replica: &DatabaseUrl, part: &Part) -> Option<Session> {
    let session = replica.connect(KIND).await.inspect_err(|error| part.away("not connected", error)).ok()?;
    match session.query_one(PROBE, &[]).await {
        Ok(_) => part.up(),
        Err(error) => {
            let detail = match Fault::of(&error, &session) {
                Fault::ConnectionLost | Fault::Retryable => "not connected",
                Fault::Unable | Fault::Data | Fault::Other => "not migrated: run event-consumer migrate",
            };
            part.away(detail, &error);
            return None;
        }
    }
    Some(session)
}

/// Waits until the connection is lost (false) or until it is time to ask, and asks.
async fn answers(session: &Session) -> bool {
    tokio::select! {
        () = session.lost() => false,
        () = sleep(PROBE_INTERVAL) => {
            matches!(timeout(PROBE_DEADLINE, session.query_one(PROBE, &[])).await, Ok(Ok(_)))
        }
    }
}
