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
    scale::scale,
    servers::Servers,
    service::Service,
    shape::{Dependencies, RoleProcess, Shape},
    wait::RECOVERY,
};

/// A test that runs longer hangs. Larger ones may take as much longer.
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
    /// The second database of the read side, if the shape has one. No proxy leads to it.
    pub second_replica: Option<Database>,
    /// The virtual host.
    pub broker: VirtualHost,
    /// The virtual host behind a bridge, if the shape has one.
    pub far_broker: Option<VirtualHost>,
    direct: bool,
    settings: Vec<(&'static str, &'static str)>,
    command_settings: Vec<(&'static str, &'static str)>,
}

impl Pair {
    pub(crate) async fn create(servers: &Servers, shape: &Shape, parts: &Dependencies) -> Result<Self> {
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
            second_replica: parts
                .second_replica_database
                .clone()
                .map(|name| Database::new(parts.replica.clone(), name)),
            broker: VirtualHost::create(parts.broker.clone(), servers.unique_name("parking")).await?,
            far_broker: match shape.bridged {
                true => Some(VirtualHost::create(parts.broker.clone(), servers.unique_name("far")).await?),
                false => None,
            },
            direct: shape.direct,
            settings: shape.settings.clone(),
            command_settings: shape.command_settings.clone(),
        };
        for number in 1..=shape.command_services.max(shape.role_processes.len()) {
            let (name, directory) =
                (format!("command-service {number}"), servers.new_directory("command_service")?);
            let program = servers.binaries.command_service.clone();
            let mut environment = pair.environment_of_command_service(number);
            let service = match shape.role_processes.get(number - 1) {
                Some(RoleProcess { roles, without }) => {
                    environment.retain(|(setting, _)| !without.contains(&setting.as_str()));
                    let name = format!("{name} ({roles})");
                    Service::new(name, program, environment, directory)
                        .with_arguments(&["serve", "--roles", roles])
                }
                None => Service::new(name, program, environment, directory),
            };
            pair.command_services.push(service);
        }
        for number in 1..=shape.event_consumers {
            let (name, directory) =
                (format!("event-consumer {number}"), servers.new_directory("event_consumer")?);
            let program = servers.binaries.event_consumer.clone();
            let environment = pair.environment_of_event_consumer(number);
            pair.event_consumers.push(Service::new(name, program, environment, directory));
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

    /// The settings with which the first command-service runs.
    #[must_use]
    pub fn command_environment(&self) -> Vec<(String, String)> {
        self.environment_of_command_service(1)
    }

    fn environment_of_command_service(&self, number: usize) -> Vec<(String, String)> {
        let links = &self.links;
        let primary = self.primary.url_through(Role::CommandService, self.port(&links.command_primary));
        let replica = match self.second_replica_if(number) {
            Some(second) => second.url_through(Role::CommandServiceReader, second.server.port()),
            None => self.replica.url_through(Role::CommandServiceReader, self.port(&links.command_replica)),
        };
        let mut environment = self.environment([
            ("DATABASE_URL", primary),
            ("REPLICA_DATABASE_URL", replica),
            ("RABBITMQ_BROKER_URL", self.broker.url_through(self.port(&links.relay_broker))),
            ("PARKING__HTTP__PORT", "0".to_owned()),
        ]);
        let own = self.command_settings.iter();
        environment.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        environment
    }

    /// Where a service finds the server at the other end of a link.
    fn port(&self, link: &Proxy) -> u16 {
        if self.direct { link.target_port() } else { link.port() }
    }

    /// The settings with which the first event-consumer runs.
    #[must_use]
    pub fn consumer_environment(&self) -> Vec<(String, String)> {
        self.environment_of_event_consumer(1)
    }

    /// Nothing of the primary's.
    fn environment_of_event_consumer(&self, number: usize) -> Vec<(String, String)> {
        let links = &self.links;
        let second = self.second_replica_if(number);
        let replica = match second {
            Some(second) => second.url_through(Role::EventConsumer, second.server.port()),
            None => self.replica.url_through(Role::EventConsumer, self.port(&links.consumer_replica)),
        };
        let far = self.far_broker.as_ref().filter(|_| second.is_some() || self.second_replica.is_none());
        let broker = far.unwrap_or(&self.broker).url_through(self.port(&links.consumer_broker));
        let mut environment = self.environment([
            ("REPLICA_DATABASE_URL", replica),
            ("RABBITMQ_BROKER_URL", broker),
            ("PARKING__CONSUMER__HTTP_PORT", "0".to_owned()),
        ]);
        if self.second_replica.is_some() {
            let name = if second.is_some() { "two" } else { "one" };
            environment.push(("PARKING__REPLICA__NAME".to_owned(), name.to_owned()));
        }
        environment
    }

    /// The second replica, for whom it is meant.
    fn second_replica_if(&self, number: usize) -> Option<&Database> {
        self.second_replica.as_ref().filter(|_| number == 2)
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
        let deadline = TEST_DEADLINE.saturating_mul(u32::try_from(scale()).unwrap_or(u32::MAX));
        tokio::select! {
            done = body(self) => done,
            ended = self.watch() => Err(ended),
            () = tokio::time::sleep(deadline) => Err(anyhow!("the test still runs after {deadline:?}")),
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
            for host in std::iter::once(&self.broker).chain(&self.far_broker) {
                host.delete().await.context("the virtual host stays behind")?;
            }
        }
        Ok(())
    }
}
