//! A running pair of a test's own: databases, virtual host, links and services.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use stack::Role;

use crate::{
    broker::VirtualHost,
    client::Client,
    database::Database,
    eventually,
    proxy::{Protocol, Proxy},
    servers::Servers,
    service::Service,
    shape::{Parts, Shape},
    wait::RECOVERY,
};

/// A test that runs longer hangs.
const TEST_DEADLINE: Duration = Duration::from_secs(120);

/// How often it is looked whether a service has ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The links, each with a proxy. Several services of a kind share theirs.
#[derive(Debug)]
pub struct Links {
    /// command-service to the primary: group commit and relay.
    pub command_primary: Proxy,
    /// command-service to the replica: queries.
    pub command_replica: Proxy,
    /// command-service to the broker: relay.
    pub relay_broker: Proxy,
    /// event-consumer to the broker: subscription.
    pub consumer_broker: Proxy,
    /// event-consumer to the replica: projection.
    pub consumer_replica: Proxy,
}

/// A pair. Dropping it kills its services.
#[derive(Debug)]
pub struct Pair {
    /// The command-services, in order of their start.
    pub command_services: Vec<Service>,
    /// The event-consumers, in order of their start.
    pub event_consumers: Vec<Service>,
    /// The links.
    pub links: Links,
    /// The database of the write side.
    pub primary: Database,
    /// The database of the read side.
    pub replica: Database,
    /// The virtual host.
    pub broker: VirtualHost,
    direct: bool,
    settings: Vec<(&'static str, &'static str)>,
}

impl Pair {
    pub(crate) async fn create(servers: &Servers, shape: &Shape, parts: &Parts) -> Result<Self> {
        let (primary_port, replica_port) = (parts.primary.port(), parts.replica.port());
        let broker_port = parts.broker.ports().amqp;
        let links = Links {
            command_primary: Proxy::start(Protocol::Postgres, primary_port)?,
            command_replica: Proxy::start(Protocol::Postgres, replica_port)?,
            relay_broker: Proxy::start(Protocol::Amqp, broker_port)?,
            consumer_broker: Proxy::start(Protocol::Amqp, broker_port)?,
            consumer_replica: Proxy::start(Protocol::Postgres, replica_port)?,
        };
        let mut pair = Self {
            command_services: Vec::new(),
            event_consumers: Vec::new(),
            links,
            primary: Database::new(parts.primary.clone(), parts.primary_database.clone()),
            replica: Database::new(parts.replica.clone(), parts.replica_database.clone()),
            broker: VirtualHost::create(parts.broker.clone(), servers.unique_name("parking")).await?,
            direct: shape.direct,
            settings: shape.settings.clone(),
        };
        let (commands, consumers) = (pair.command_environment(), pair.consumer_environment());
        for number in 1..=shape.command_services {
            let (name, directory) =
                (format!("command-service {number}"), servers.new_directory("command_service")?);
            let program = servers.binaries.command_service.clone();
            pair.command_services.push(Service::new(name, program, commands.clone(), directory));
        }
        for number in 1..=shape.event_consumers {
            let (name, directory) =
                (format!("event-consumer {number}"), servers.new_directory("event_consumer")?);
            let program = servers.binaries.event_consumer.clone();
            pair.event_consumers.push(Service::new(name, program, consumers.clone(), directory));
        }
        Ok(pair)
    }

    /// A client of the first command-service.
    #[must_use]
    pub fn client(&self) -> Client {
        self.command_service().client()
    }

    /// The first command-service.
    #[must_use]
    pub fn command_service(&self) -> &Service {
        &self.command_services[0]
    }

    /// The first event-consumer.
    #[must_use]
    pub fn event_consumer(&self) -> &Service {
        &self.event_consumers[0]
    }

    /// Starts every service and waits until all are ready.
    ///
    /// # Errors
    /// One ended or did not become ready in time.
    pub async fn start(&self) -> Result<()> {
        for service in self.services() {
            service.start().await?;
        }
        self.ready().await
    }

    /// Waits until every service says that it is ready, with all of its parts.
    ///
    /// # Errors
    /// One did not become ready in time.
    pub async fn ready(&self) -> Result<()> {
        for service in self.services() {
            let client = service.client();
            eventually(RECOVERY, &format!("{} is ready", service.name()), async || {
                let reply = client.readyz().await?;
                ensure!(reply.body["status"] == "ready", "it says {}", reply.body);
                reply.expect(200)
            })
            .await?;
        }
        Ok(())
    }

    /// Every service, command-services first.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.command_services.iter().chain(&self.event_consumers)
    }

    /// The settings with which command-services run.
    #[must_use]
    pub fn command_environment(&self) -> Vec<(String, String)> {
        let links = &self.links;
        let primary = self.primary.url_through(Role::CommandService, self.port(&links.command_primary));
        let replica = self.replica.url_through(Role::CommandServiceReader, self.port(&links.command_replica));
        self.environment([
            ("DATABASE_URL", primary),
            ("REPLICA_DATABASE_URL", replica),
            ("RABBITMQ_BROKER_URL", self.broker.url_through(self.port(&links.relay_broker))),
            ("PARKING__HTTP__PORT", "0".to_owned()),
        ])
    }

    /// Where a service finds the server at the other end of a link.
    fn port(&self, link: &Proxy) -> u16 {
        if self.direct { link.target_port() } else { link.port() }
    }

    /// The settings with which event-consumers run: nothing of the primary's.
    #[must_use]
    pub fn consumer_environment(&self) -> Vec<(String, String)> {
        let links = &self.links;
        let replica = self.replica.url_through(Role::EventConsumer, self.port(&links.consumer_replica));
        self.environment([
            ("REPLICA_DATABASE_URL", replica),
            ("RABBITMQ_BROKER_URL", self.broker.url_through(self.port(&links.consumer_broker))),
            ("PARKING__CONSUMER__HTTP_PORT", "0".to_owned()),
        ])
    }

    fn environment<const N: usize>(&self, own: [(&str, String); N]) -> Vec<(String, String)> {
        let common = [("PARKING__LOG__FORMAT", "json"), ("RUST_BACKTRACE", "1")];
        let common = common.iter().chain(&self.settings);
        own.into_iter()
            .chain(common.map(|(name, value)| (*name, (*value).to_owned())))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    pub(crate) async fn run(&self, body: impl AsyncFnOnce(&Pair) -> Result<()>) -> Result<()> {
        tokio::select! {
            done = body(self) => done,
            ended = self.watch() => Err(ended),
            () = tokio::time::sleep(TEST_DEADLINE) => Err(anyhow!("the test still runs after {TEST_DEADLINE:?}")),
        }
    }

    /// Waits until a service ends by itself, which none may.
    async fn watch(&self) -> anyhow::Error {
        loop {
            for service in self.services() {
                if let Some(status) = service.unexpected_end() {
                    return anyhow!("{} ended by itself with {status}", service.name());
                }
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }

    pub(crate) async fn end(&self) -> Result<()> {
        for service in self.services().filter(|service| service.pid().is_some()) {
            service.kill()?;
        }
        if self.broker.broker.is_running() {
            self.broker.delete().await.context("the virtual host stays behind")?;
        }
        Ok(())
    }
}
