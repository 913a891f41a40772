//! Watches the replica: reports whether it answers, and passes on what it has applied.

use std::{error::Error, time::Duration};

use shared::{
    postgres::{ConnectError, DatabaseUrl, Fault, Session, SessionKind},
    process::cause::chain,
    process::{backoff::Pauses, dependency_state::Dependency},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::waiting::{Pushed, Waiting};
use crate::{primary::connection::Primary, queries::silence::Silence, register::place::LogEnd};

const KIND: SessionKind = SessionKind {
    step: "replica watch",
    options: "-c statement_timeout=900ms",
    // The watch itself gives up sooner.
    deadline: Duration::from_secs(2),
};

/// The channel on which the replica pushes its status.
const LISTEN: &str = "LISTEN replication_status";

/// What the service waits for when there is no connection.
const NOT_CONNECTED: &str = "not connected";

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

/// After so long without a push, the watch asks for a sign of life. With a running consumer, pushes come about as often.
const PROBE_AFTER: Duration = Duration::from_millis(500);

/// How long the replica may take to answer the watch. A server that works answers in a millisecond; this is for a busy
/// machine. So a replica that is silent for 2 s is down.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);

/// The receivers of the replica's status.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// The reads that wait for it.
    pub waiting: Waiting,
    /// Told whether the replica is silent, so that no read waits for its answer.
    pub silence: Silence,
    /// Told the replica's position: the log cannot be shorter. `None` in a process without access to the primary.
    pub primary: Option<Primary>,
}

/// Why the watch does not hear the replica.
enum Unheard {
    /// No answer in time: the server is frozen, or the network is lost.
    Silent,
    /// The connection ended; the next one tells why.
    Lost,
    /// The replica, or its host, refused: what the service waits for, and why.
    Refused(&'static str, Box<dyn Error + Send + Sync>),
}

impl Unheard {
    fn report(self, dependency: &Dependency, silence: &Silence) {
        match self {
            Self::Silent => {
                silence.begin();
                dependency.down(NOT_CONNECTED, &ConnectError::Deadline);
            }
            Self::Lost => {}
            Self::Refused(detail, error) => dependency.down(detail, error.as_ref()),
        }
    }
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
            match reach(&replica).await {
                Ok((session, status)) => {
                    pauses = Pauses::new();
                    dependency.up();
                    listeners.silence.end();
                    if let (Some(applied), Some(primary)) = (listeners.hand_on(&status), &listeners.primary) {
                        primary.told_anew(applied);
                    }
                    listen(&session, &listeners).await.report(&dependency, &listeners.silence);
                    listeners.waiting.lose();
                }
                Err(unheard) => unheard.report(&dependency, &listeners.silence),
            }
            pauses.wait().await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}

/// Listens first, then queries: a change between the two arrives twice instead of being missed.
async fn reach(replica: &DatabaseUrl) -> Result<(Session, String), Unheard> {
    let session = replica.connect(KIND).await.map_err(|error| match error {
        ConnectError::Deadline => Unheard::Silent,
        ConnectError::Refused(_) => Unheard::Refused(NOT_CONNECTED, error.into()),
    })?;
    let asking = async {
        session.batch_execute(LISTEN).await?;
        session.query_one(STATUS, &[]).await?.try_get(0)
    };
    match timeout(ANSWER_MAX, asking).await {
        Ok(Ok(status)) => Ok((session, status)),
        Ok(Err(error)) => {
            let detail = match session.fault(&error) {
                Fault::ConnectionLost | Fault::Retryable => NOT_CONNECTED,
                Fault::Unable | Fault::Data | Fault::Other => "not migrated: run event-consumer migrate",
            };
            Err(Unheard::Refused(detail, error.into()))
        }
        Err(_) => Err(Unheard::Silent),
    }
}

/// Passes pushes on until the replica is no longer heard.
async fn listen(session: &Session, listeners: &Listeners) -> Unheard {
    let notified = session.notified();
    loop {
        tokio::select! {
            () = session.lost() => return Unheard::Lost,
            () = notified.notified() => {
                let applied = listeners.hand_on(&session.newest_payload());
                if let (Some(applied), Some(primary)) = (applied, &listeners.primary) {
                    primary.told(applied);
                }
            }
            () = sleep(PROBE_AFTER) => match timeout(ANSWER_MAX, session.query_one(PROBE, &[])).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Unheard::Lost,
                Err(_) => return Unheard::Silent,
            },
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
