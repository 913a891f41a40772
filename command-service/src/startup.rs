//! Starts the service, and stops it in the right order.

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, dev::Server, middleware::from_fn, web};
use anyhow::Context;
use shared::process::{dependency_state::Dependency, tasks::Tasks};
use tokio_util::sync::CancellationToken;

use crate::{
    commands::queue::CommandQueue,
    freshness::{
        gate::Gate,
        waiting::Waiting,
        watch::{self, Listeners},
    },
    http::{envelope, probes::Dependencies, routes, server},
    primary::{connection::Primary, log_end::LogEndHandle},
    queries::replica::Replica,
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
    /// Starts listening and starts the background tasks, which wait for dependencies that are down.
    /// Call it on the main multi-thread runtime: connections live on it.
    ///
    /// # Errors
    /// The service cannot listen on the address.
    pub fn build(settings: &Settings, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let dependencies = Dependencies::new(shutdown.clone());
        let committed = CommitSignal::default();
        let (commands, submissions) = CommandQueue::channel(
            settings.commit_queue_limit,
            Duration::from_millis(settings.command_deadline_ms),
        );
        let primary = settings.primary();
        let replica = Replica::new(&settings.replica, dependencies.replica.clone())?;
        let (mut tasks, stop_tasks) = (Tasks::default(), CancellationToken::new());
        let gate =
            open_gate(settings, &primary, &dependencies.replica, &mut tasks, &stop_tasks, shutdown.clone());
        let (server, address) = listen(
            settings,
            Served { commands, replica, gate, dependencies: dependencies.clone() },
            shutdown,
        )?;

        let committer = Committer::new(primary.clone(), dependencies.primary, submissions, committed.clone());
        tasks.spawn(COMMITTER, committer.run());
        let relay = Relay {
            primary: primary.clone(),
            broker: settings.broker.clone(),
            committed,
            broker_dependency: dependencies.broker,
            relay_dependency: dependencies.relay,
        };
        tasks.spawn("relay", relay.run(stop_tasks.clone()));
        let replay = Replay { primary: primary.clone(), broker: settings.broker.clone() };
        tasks.spawn("replay", replay.run(stop_tasks.clone()));
        tasks.spawn("forget", forget::run(primary, stop_tasks.clone()));
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

/// Opens the gate and its two tasks: one reads the end of the primary's log, one listens to the replica and reports
/// to `dependency`. `stop_tasks` ends the tasks; `shutdown` ends waiting reads.
pub(crate) fn open_gate(
    settings: &Settings,
    primary: &Primary,
    dependency: &Dependency,
    tasks: &mut Tasks,
    stop_tasks: &CancellationToken,
    shutdown: CancellationToken,
) -> Gate {
    let waiting = Waiting::default();
    let waiters_max = settings.freshness_max_waiters;
    let (log_end, reader) = LogEndHandle::channel(primary.clone(), waiters_max);
    tasks.spawn("log end", reader.run(stop_tasks.clone()));
    let listeners = Listeners { waiting: waiting.clone(), primary: primary.clone() };
    let watching = watch::run(settings.replica.clone(), dependency.clone(), listeners, stop_tasks.clone());
    tasks.spawn("replica watch", watching);
    Gate::new(log_end, waiting, waiters_max, shutdown)
}

/// The shared state of the handlers.
#[derive(Clone)]
struct Served {
    commands: CommandQueue,
    replica: Replica,
    gate: Gate,
    dependencies: Dependencies,
}

fn listen(
    settings: &Settings,
    served: Served,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Server, SocketAddr)> {
    let app = move || {
        let Served { commands, replica, gate, dependencies } = served.clone();
        App::new()
            .wrap(from_fn(envelope::wrap))
            .app_data(web::Data::new(commands))
            .app_data(web::Data::new(replica))
            .app_data(web::Data::new(gate))
            .app_data(web::Data::new(dependencies))
            .configure(routes::configure)
    };
    server::listen(settings, DRAIN_SECS, app, shutdown)
        .with_context(|| format!("cannot listen on port {}", settings.port))
}
