//! Puts the service together, and takes it apart again in the right order.

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpServer, dev::Server, middleware::from_fn, web};
use anyhow::Context;
use shared::process::dependency_state::Dependency;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    commands::queue::CommandQueue,
    freshness::{
        gate::Gate,
        waiting::Waiting,
        watch::{self, Listeners},
    },
    http::{envelope, probes::Dependencies, routes},
    primary::{connection::Primary, log_end::LogEndHandle},
    queries::replica::Replica,
    relay::{Relay, replay::Replay},
    settings::Settings,
    write_model::{committer::Committer, forget, wake::CommitSignal},
};

/// How long requests that are under way may take to finish after a signal, in seconds.
const DRAIN_SECS: u64 = 8;

/// How long the relay may take to finish its step.
const STEP_GRACE: Duration = Duration::from_secs(2);

/// The service, listening.
pub struct Application {
    server: Server,
    address: SocketAddr,
    committer: JoinHandle<()>,
    tasks: TaskTracker,
    stop_tasks: CancellationToken,
}

impl Application {
    /// Starts listening and everything that works in the background. Dependencies that are down are waited for there. Must
    /// be called on the main multi-thread runtime: connections live on it.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn build(settings: &Settings, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let dependencies = Dependencies::new(shutdown.clone());
        let committed = CommitSignal::default();
        let (commands, submissions) = CommandQueue::channel(
            settings.commit_queue_limit,
            Duration::from_millis(settings.command_deadline_ms),
        );
        let primary = settings.primary();
        let committer =
            Committer::new(primary.clone(), dependencies.primary.clone(), submissions, committed.clone());
        let replica = Replica::new(&settings.replica, dependencies.replica.clone())?;
        let (tasks, stop_tasks) = (TaskTracker::new(), CancellationToken::new());
        let gate =
            open_gate(settings, &primary, &dependencies.replica, &tasks, &stop_tasks, shutdown.clone());
        let (server, address) = listen(
            settings,
            Served { commands, replica, gate, dependencies: dependencies.clone() },
            shutdown,
        )?;

        let committer = tokio::spawn(committer.run());
        let relay = Relay {
            primary: primary.clone(),
            broker: settings.broker.clone(),
            committed,
            broker_dependency: dependencies.broker,
            relay_dependency: dependencies.relay,
        };
        tasks.spawn(relay.run(stop_tasks.clone()));
        let replay = Replay { primary: primary.clone(), broker: settings.broker.clone() };
        tasks.spawn(replay.run(stop_tasks.clone()));
        tasks.spawn(forget::run(primary, stop_tasks.clone()));
        Ok(Self { server, address, committer, tasks, stop_tasks })
    }

    /// Where the service listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown token is cancelled, then ends in the order of the flow: no new requests, the
    /// requests under way, the commands they left, the relay's step in hand.
    ///
    /// # Errors
    /// The server failed, or the committer did.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        self.server.await.context("the HTTP server failed")?;
        // The server took the last entrance to the command queue with it, so the committer comes to its end.
        self.committer.await.context("the committer failed")?;
        self.stop_tasks.cancel();
        self.tasks.close();
        // What was published without being noted is published again by the next leader, so this may be cut short.
        if timeout(STEP_GRACE, self.tasks.wait()).await.is_err() {
            tracing::info!("the relay's step in hand was cut short");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Opens the gate, with the two tasks that it works with: one looks where the primary's log ends, one listens to the
/// replica and reports to `dependency`. They end when `stop_tasks` is cancelled; those who wait, when `shutdown` is.
pub(crate) fn open_gate(
    settings: &Settings,
    primary: &Primary,
    dependency: &Dependency,
    tasks: &TaskTracker,
    stop_tasks: &CancellationToken,
    shutdown: CancellationToken,
) -> Gate {
    let waiting = Waiting::default();
    let waiters_max = settings.freshness_max_waiters;
    let (log, looker) = LogEndHandle::channel(primary.clone(), waiters_max);
    tasks.spawn(looker.run(stop_tasks.clone()));
    let listeners = Listeners { waiting: waiting.clone(), primary: primary.clone() };
    let watching = watch::run(settings.replica.clone(), dependency.clone(), listeners, stop_tasks.clone());
    tasks.spawn(watching);
    Gate::new(log, waiting, waiters_max, shutdown)
}

/// What the handlers work with.
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
    let server = HttpServer::new(move || {
        let Served { commands, replica, gate, dependencies } = served.clone();
        App::new()
            .wrap(from_fn(envelope::wrap))
            .app_data(web::Data::new(commands))
            .app_data(web::Data::new(replica))
            .app_data(web::Data::new(gate))
            .app_data(web::Data::new(dependencies))
            .configure(routes::configure)
    })
    // A client that closes its side has gone away: nobody waits for it any longer.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(settings.keep_alive_s))
    .workers(settings.http_workers)
    .shutdown_timeout(DRAIN_SECS)
    .disable_signals()
    .shutdown_signal(shutdown.clone().cancelled_owned())
    .bind((settings.bind, settings.port))
    .with_context(|| format!("cannot listen on port {}", settings.port))?;
    let address = server.addrs().first().copied().context("no address is listened on")?;
    Ok((server.run(), address))
}
