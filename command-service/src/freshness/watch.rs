//! Watches the replica: reports whether it answers, and passes on what it has applied.

use std::time::Duration;

use shared::{
    postgres::{DatabaseUrl, Fault, Session, SessionKind},
    process::cause::chain,
    process::{backoff::Pauses, dependency_state::Dependency},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::waiting::{Pushed, Waiting};
use crate::{primary::connection::Primary, register::place::LogEnd};

/// A replica that answers nothing for 1 s is down; the watch then reconnects.
const KIND: SessionKind = SessionKind {
    step: "replica watch",
    options: "-c statement_timeout=900ms",
    deadline: Duration::from_secs(1),
};

/// The channel on which the replica pushes its status.
const LISTEN: &str = "LISTEN replication_status";

const PROBE: &str = "SELECT 1";

/// The current status, in the form that the replica pushes. Fails while the replica has no schema.
const STATUS: &str = "
    SELECT json_build_object(
        'applied_through', applied_through,
        'as_of_micros', (extract(epoch FROM as_of) * 1000000)::bigint,
        'epoch', epoch,
        'last_dead_letter', (SELECT max(id) FROM dead_letters))::text
    FROM replication_status";

/// Every statement of this room, for the test that prepares them against the replica's schema.
pub const STATEMENTS: [&str; 2] = [PROBE, STATUS];

/// How often the watch probes an open connection; it notices a closed one at once.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The receivers of the replica's status.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// The reads that wait for it.
    pub waiting: Waiting,
    /// Told the replica's position: the log cannot be shorter. `None` in a process without access to the primary.
    pub primary: Option<Primary>,
}

/// Keeps a connection to the replica until `shutdown` is cancelled. Reports its state to `dependency` and passes
/// what the replica pushes to `listeners`.
pub async fn run(
    replica: DatabaseUrl,
    dependency: Dependency,
    listeners: Listeners,
    shutdown: CancellationToken,
) {
    let watching = async {
        let mut pauses = Pauses::new();
        loop {
            if let Some((session, status)) = reach(&replica, &dependency).await {
                pauses = Pauses::new();
                if let (Some(applied), Some(primary)) = (listeners.hand_on(&status), &listeners.primary) {
                    primary.told_anew(applied);
                }
                while answers(&session, &listeners).await {}
                listeners.waiting.lose();
            }
            pauses.wait().await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}

/// Listens first, then queries: a change between the two arrives twice instead of being missed.
async fn reach(replica: &DatabaseUrl, dependency: &Dependency) -> Option<(Session, String)> {
    let session =
        replica.connect(KIND).await.inspect_err(|error| dependency.down("not connected", error)).ok()?;
    let asking = async {
        session.batch_execute(LISTEN).await?;
        session.query_one(STATUS, &[]).await?.try_get(0)
    };
    match asking.await {
        Ok(status) => {
            dependency.up();
            Some((session, status))
        }
        Err(error) => {
            let detail = match session.fault(&error) {
                Fault::ConnectionLost | Fault::Retryable => "not connected",
                Fault::Unable | Fault::Data | Fault::Other => "not migrated: run event-consumer migrate",
            };
            dependency.down(detail, &error);
            None
        }
    }
}

/// Waits for a push, the next probe, or the loss of the connection. False: the session is unusable.
async fn answers(session: &Session, listeners: &Listeners) -> bool {
    let notified = session.notified();
    tokio::select! {
        () = session.lost() => false,
        () = notified.notified() => {
            let applied = listeners.hand_on(&session.newest_payload());
            if let (Some(applied), Some(primary)) = (applied, &listeners.primary) {
                primary.told(applied);
            }
            true
        }
        () = sleep(PROBE_INTERVAL) => {
            session.query_one(PROBE, &[]).await.is_ok()
        }
    }
}

impl Listeners {
    /// Wakes the waiting reads. Returns the replica's position, if the status names an epoch.
    fn hand_on(&self, status: &str) -> Option<LogEnd> {
        match serde_json::from_str::<Pushed>(status) {
            Ok(pushed) => {
                self.waiting.push(pushed);
                applied_in(&pushed)
            }
            // The waiting reads query the replica themselves.
            Err(error) => {
                tracing::warn!(error = chain(&error), "the replica's status cannot be read");
                self.waiting.lose();
                None
            }
        }
    }
}

fn applied_in(status: &Pushed) -> Option<LogEnd> {
    status.epoch.map(|epoch| LogEnd { epoch, position: status.applied_through })
}
