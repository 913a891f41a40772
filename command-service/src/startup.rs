//! Starts the service, and stops it in the right order. Builds only what the roles of the process need.

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, dev::Server, middleware::from_fn};
use anyhow::Context;
use shared::{
    broker::signing::DroppedMessages,
    process::{dependency_state::Dependency, tasks::Tasks},
};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Access, QueryAccess, RelayAccess},
    commands::queue::CommandQueue,
    freshness::{
        gate::Gate,
        waiting::Waiting,
        watch::{self, Listeners},
    },
    http::{envelope, handler_state::HandlerState, probes::Dependencies, server},
    primary::{connection::Primary, log_end::LogEndHandle},
    queries::{replica::Replica, silence::Silence},
    relay::{Relay, replay::Replay},
    settings::Settings,
    write_model::{committer::Committer, forget, wake::CommitSignal},
};

/// How long requests in progress may take to finish after a signal, in seconds.
const DRAIN_SECS: u64 = 8;

/// The task that ends by itself, after the last sender of the command queue.
const COMMITTER: &str = "committer";

/// How long the relay may take to finish its step.
const STEP_GRACE: Duration = Duration::from_secs(2);

/// The service, listening.
pub struct Application {
    server: Server,
    address: SocketAddr,
    tasks: Tasks,
    stop_tasks: CancellationToken,
    shutdown: CancellationToken,
}

impl Application {
    /// Starts listening and starts the background tasks of the roles in `access`. The tasks wait for dependencies that
    /// are down. Call it on the main multi-thread runtime: connections live on it.
    ///
    /// # Errors
    /// The service cannot listen on the address.
    pub fn build(settings: &Settings, access: Access, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let roles = access.roles();
        let dependencies = Dependencies {
            warnings: access.warnings(),
            ..Dependencies::new(roles, access.has_primary(), shutdown.clone())
        };
        let (mut tasks, stop_tasks) = (Tasks::default(), CancellationToken::new());
        let committed = CommitSignal::default();
        let (commands, committer) = access
            .command
            .clone()
            .map(|primary| write_side(settings, primary, &dependencies, &committed))
            .unzip();
        let (replica, gate) = match &access.query {
            Some(query) => {
                let replica = Replica::open(&query.replica, &dependencies.replica, &mut tasks, &stop_tasks);
                // In a process that also takes commands, the committer reports how the primary is.
                let primary = access.command.is_none().then(|| dependencies.primary.clone());
                let silence = replica.silence();
                let reports = GateReports { replica: dependencies.replica.clone(), silence, primary };
                let waiters_max = settings.freshness_max_waiters;
                let gate = open_gate(query, reports, waiters_max, &mut tasks, &stop_tasks, shutdown.clone());
                (Some(replica), Some(gate))
            }
            None => (None, None),
        };
        let state = HandlerState { roles, commands, replica, gate, dependencies: dependencies.clone() };
        let (server, address) = listen(settings, state, shutdown)?;

        if let Some((committer, primary)) = committer.zip(access.command.clone()) {
            tasks.spawn(COMMITTER, committer.run());
            tasks.spawn("forget", forget::run(primary, stop_tasks.clone()));
        }
        if let Some(RelayAccess { primary, broker }) = access.relay {
            let is_alone = access.command.is_none() && access.query.is_none();
            let relay = Relay {
                primary: primary.clone(),
                broker: broker.clone(),
                committed,
                primary_dependency: is_alone.then_some(dependencies.primary),
                broker_dependency: dependencies.broker,
                relay_dependency: dependencies.relay,
            };
            let replay =
                Replay { primary, broker, unsigned_requests: DroppedMessages::new("request for a replay") };
            tasks.spawn("relay", relay.run(stop_tasks.clone()));
            tasks.spawn("replay", replay.run(stop_tasks.clone()));
        }
        Ok(Self { server, address, tasks, stop_tasks, shutdown: shutdown.clone() })
    }

    /// Where the service listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown token is cancelled. Then it stops new requests and finishes, in this order: requests
    /// in progress, their commands, the relay's current step.
    ///
    /// # Errors
    /// The server or a background task failed. The process then ends at once, without waiting, to be restarted.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Self { server, mut tasks, stop_tasks, shutdown, .. } = self;
        tokio::select! {
            served = server => served.context("the HTTP server failed")?,
            failure = tasks.failure(|| shutdown.is_cancelled()) => return Err(failure.into()),
        }
        // The server dropped the last sender of the command queue, so the committer ends.
        tasks.end_of(COMMITTER).await?;
        stop_tasks.cancel();
        // This may be cut short: the next leader publishes again what was published but not noted.
        let cut_short = tasks.end_of_all(STEP_GRACE).await?;
        if !cut_short.is_empty() {
            tracing::info!(tasks = ?cut_short, "steps in hand were cut short");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// The queue of commands and the committer at its end.
fn write_side(
    settings: &Settings,
    primary: Primary,
    dependencies: &Dependencies,
    committed: &CommitSignal,
) -> (CommandQueue, Committer) {
    let (commands, submissions) = CommandQueue::channel(
        settings.commit_queue_limit,
        Duration::from_millis(settings.command_deadline_ms),
    );
    let committer = Committer::new(primary, dependencies.primary.clone(), submissions, committed.clone());
    (commands, committer)
}

/// Where the gate's tasks report how the databases are.
pub(crate) struct GateReports {
    /// The replica.
    pub(crate) replica: Dependency,
    /// Whether the replica is silent.
    pub(crate) silence: Silence,
    /// The primary; `None` if another task of the process reports it.
    pub(crate) primary: Option<Dependency>,
}

/// Opens the gate and its tasks. One listens to the replica; with access to the primary, another one reads the end of
/// its log. `stop_tasks` ends the tasks; `shutdown` ends waiting reads.
pub(crate) fn open_gate(
    access: &QueryAccess,
    reports: GateReports,
    waiters_max: usize,
    tasks: &mut Tasks,
    stop_tasks: &CancellationToken,
    shutdown: CancellationToken,
) -> Gate {
    let waiting = Waiting::default();
    let log_end = match &access.primary {
        Some(primary) => {
            let (log_end, reader) = LogEndHandle::channel(primary.clone(), waiters_max, reports.primary);
            tasks.spawn("log end", reader.run(stop_tasks.clone()));
            log_end
        }
        None => LogEndHandle::without_primary(),
    };
    let listeners =
        Listeners { waiting: waiting.clone(), silence: reports.silence, primary: access.primary.clone() };
    let watching = watch::run(access.replica.clone(), reports.replica, listeners, stop_tasks.clone());
    tasks.spawn("replica watch", watching);
    Gate::new(log_end, waiting, waiters_max, shutdown)
}

fn listen(
    settings: &Settings,
    state: HandlerState,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Server, SocketAddr)> {
    let app = move || {
        let state = state.clone();
        App::new().wrap(from_fn(envelope::wrap)).configure(|config| state.configure(config))
    };
    server::listen(settings, DRAIN_SECS, app, shutdown)
        .with_context(|| format!("cannot listen on port {}", settings.port))
}
