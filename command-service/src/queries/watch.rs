//! Whether the replica answers, known without waiting for somebody to read; and what it has settled, as it tells
//! whoever listens.

use std::time::Duration;

use shared::{
    parts::Part,
    postgres::{DatabaseUrl, Fault, Session, SessionKind},
    retry::Pauses,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::freshness::waiting::Waiting;

const KIND: SessionKind = SessionKind { step: "replica watch", options: "-c statement_timeout=1s" };

/// The channel on which the replica tells what it has settled.
const LISTEN: &str = "LISTEN replication_status";

pub(super) const PROBE: &str = "SELECT 1";

/// What is settled now, in the form in which the replica pushes it. Fails when the replica answers but has no schema
/// yet.
pub(super) const STATUS: &str = "
    SELECT json_build_object(
        'applied_through', applied_through,
        'as_of_micros', (extract(epoch FROM as_of) * 1000000)::bigint,
        'epoch', epoch,
        'last_letter', (SELECT max(id) FROM dead_letters))::text
    FROM replication_status";

/// How often an open connection is asked; a closed one is noticed at once.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// Keeps a connection to the replica, reports to `part`, and hands on to `waiting` what the replica pushes; until
/// `shutdown` is cancelled.
pub async fn run(replica: DatabaseUrl, part: Part, waiting: Waiting, shutdown: CancellationToken) {
    let watching = async {
        let mut pauses = Pauses::new();
        loop {
            if let Some((session, status)) = reach(&replica, &part).await {
                pauses = Pauses::new();
                hand_on(&waiting, &status);
                while answers(&session, &waiting).await {}
                waiting.lose();
            }
            pauses.wait().await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}

/// Listens first and asks then: what changes between the two is told twice, not missed.
async fn reach(replica: &DatabaseUrl, part: &Part) -> Option<(Session, String)> {
    let session = replica.connect(KIND).await.inspect_err(|error| part.away("not connected", error)).ok()?;
    let asking = async {
        session.batch_execute(LISTEN).await?;
        session.query_one(STATUS, &[]).await?.try_get(0)
    };
    match asking.await {
        Ok(status) => {
            part.up();
            Some((session, status))
        }
        Err(error) => {
            let detail = match Fault::of(&error, &session) {
                Fault::ConnectionLost | Fault::Retryable => "not connected",
                Fault::Unable | Fault::Data | Fault::Other => "not migrated: run event-consumer migrate",
            };
            part.away(detail, &error);
            None
        }
    }
}

/// Waits until the connection is lost (false), until the replica tells something, or until it is time to ask.
async fn answers(session: &Session, waiting: &Waiting) -> bool {
    let notified = session.notified();
    tokio::select! {
        () = session.lost() => false,
        () = notified.notified() => {
            hand_on(waiting, &session.newest_payload());
            true
        }
        () = sleep(PROBE_INTERVAL) => {
            matches!(timeout(PROBE_DEADLINE, session.query_one(PROBE, &[])).await, Ok(Ok(_)))
        }
    }
}

fn hand_on(waiting: &Waiting, status: &str) {
    match serde_json::from_str(status) {
        Ok(pushed) => waiting.push(pushed),
        // Whoever waits looks for himself.
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the replica's status cannot be read");
            waiting.lose();
        }
    }
}
