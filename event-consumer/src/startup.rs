//! Starts the consumer's tasks, and stops them in the right order.

use std::{net::SocketAddr, sync::Arc};

use actix_web::{App, HttpServer, dev::Server, web};
use anyhow::Context;
use shared::{
    broker::{Broker, signing::DroppedMessages},
    process::tasks::Tasks,
    replica_name::Recipient,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    holes::Holes,
    probes::{self, Dependencies},
    settings::Settings,
    subscription::{EpochListener, Subscription},
};

/// How long running health requests may take to finish after a signal, in seconds.
const DRAIN_SECS: u64 = 2;

/// The task that finishes its current batch before the process ends.
const SUBSCRIPTION: &str = "subscription";

/// The consumer, listening for health requests.
pub struct Application {
    server: Server,
    address: SocketAddr,
    tasks: Tasks,
    shutdown: CancellationToken,
}

impl Application {
    /// Starts to consume and to listen. Dependencies may be down: the consumer waits for them.
    ///
    /// # Errors
    /// The server cannot listen on the address.
    pub fn build(settings: &Settings, broker: Broker, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let dependencies = Dependencies::new(broker.keys.are_set(), shutdown.clone());
        let (watermarks, newest_watermark) = watch::channel(None);
        let unanswered = Arc::new(Notify::new());
        let subscription = Subscription {
            broker: broker.clone(),
            replica: settings.replica.clone(),
            recipient: Recipient::Replica(settings.replica_name.clone()),
            broker_dependency: dependencies.broker.clone(),
            replica_dependency: dependencies.replica.clone(),
            epoch_dependency: dependencies.epoch.clone(),
            dead_letters_dependency: dependencies.dead_letters.clone(),
            watermarks,
            unanswered: Arc::clone(&unanswered),
            foreign: Arc::new(Notify::new()),
            epoch_words: Arc::new(EpochListener::default()),
            unsigned_watermarks: DroppedMessages::new("watermark"),
        };
        let holes = Holes {
            broker,
            replica: settings.replica.clone(),
            recipient: Recipient::Replica(settings.replica_name.clone()),
            watermarks: newest_watermark,
            unanswered,
            log_dependency: dependencies.log.clone(),
        };
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(dependencies.clone())).configure(probes::configure)
        })
        .workers(1)
        .shutdown_timeout(DRAIN_SECS)
        .disable_signals()
        .shutdown_signal(shutdown.clone().cancelled_owned())
        .bind((settings.bind, settings.port))
        .with_context(|| format!("cannot listen on port {}", settings.port))?;
        let address = server.addrs().first().copied().context("no address is listened on")?;
        let mut tasks = Tasks::default();
        tasks.spawn(SUBSCRIPTION, subscription.run(shutdown.clone()));
        tasks.spawn("holes", holes.run(shutdown.clone()));
        Ok(Self { server: server.run(), address, tasks, shutdown: shutdown.clone() })
    }

    /// The address of `/livez` and `/readyz`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until the shutdown token is cancelled, then finishes the current batch.
    ///
    /// # Errors
    /// The server or a background task failed. The call then returns without waiting for anything, so that the
    /// process ends at once and is started again.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Self { server, mut tasks, shutdown, .. } = self;
        tokio::select! {
            served = server => served.context("the HTTP server failed")?,
            failure = tasks.failure(|| shutdown.is_cancelled()) => return Err(failure.into()),
        }
        // The search for missing positions may be cut short: the next process requests them again.
        tasks.end_of(SUBSCRIPTION).await?;
        tracing::info!("stopped");
        Ok(())
    }
}
