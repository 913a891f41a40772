//! What a test starts with, and how it is run: servers, a pair, a deadline, and the logs when it fails.

use anyhow::Result;
use stack::{Postgres, RabbitMq};

use crate::{
    pair::Pair,
    servers::{Servers, servers},
};

/// What a test starts with.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many command-services there are.
    pub command_services: usize,
    /// command-services that have only some roles each, instead of `command_services`.
    pub role_processes: Vec<RoleProcess>,
    /// How many event-consumers there are.
    pub event_consumers: usize,
    /// Whether services run, and are ready, when the test begins.
    pub started: bool,
    /// Whether the primary is on a server of the test's own, to be stopped.
    pub own_primary: bool,
    /// Whether the replica is on a server of the test's own, to be stopped.
    pub own_replica: bool,
    /// Whether the broker is the test's own, to be stopped.
    pub own_broker: bool,
    /// Whether there is a second replica, read by the second command-service and filled by the second event-consumer.
    /// The first replica is then called `one`, the second one `two`.
    pub second_replica: bool,
    /// Whether the last event-consumer is in a virtual host of its own, to which a
    /// [`Bridge`](crate::bridge::Bridge) leads. With one replica every event-consumer is.
    pub bridged: bool,
    /// Whether the services reach the servers straight, not through the links: for figures.
    pub direct: bool,
    /// Settings beyond those that every service gets.
    pub settings: Vec<(&'static str, &'static str)>,
    /// Settings that only command-services get.
    pub command_settings: Vec<(&'static str, &'static str)>,
}

/// A command-service with only some roles.
#[derive(Clone, Copy, Debug)]
pub struct RoleProcess {
    /// Its roles, as `serve --roles` takes them.
    pub roles: &'static str,
    /// The settings that it does not get.
    pub without: &'static [&'static str],
}

impl RoleProcess {
    /// One with these roles and every setting.
    #[must_use]
    pub fn with_every_setting(roles: &'static str) -> Self {
        Self { roles, without: &[] }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            command_services: 1,
            role_processes: Vec::new(),
            event_consumers: 1,
            started: true,
            own_primary: false,
            own_replica: false,
            own_broker: false,
            second_replica: false,
            bridged: false,
            direct: false,
            settings: Vec::new(),
            command_settings: Vec::new(),
        }
    }
}

/// Runs `body` with one service of each kind, up and ready.
///
/// # Errors
/// See [`Shape::run`].
pub fn with_pair(body: impl AsyncFnOnce(&Pair) -> Result<()>) -> Result<()> {
    Shape::default().run(body)
}

impl Shape {
    /// Runs `body` with a pair of this shape.
    ///
    /// # Errors
    /// Those of `body`; a service that ended by itself; a test that hangs. The services' logs are printed then.
    pub fn run(self, body: impl AsyncFnOnce(&Pair) -> Result<()>) -> Result<()> {
        let servers = servers()?;
        let parts = Dependencies::create(servers, &self)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let done = runtime.block_on(async {
            let pair = Pair::create(servers, &self, &parts).await?;
            let logs = LogsUnlessDone { pair: &pair };
            if self.started {
                pair.start().await?;
            }
            pair.run(body).await?;
            std::mem::forget(logs);
            pair.end().await
        });
        parts.end(servers);
        done
    }
}

/// The servers of one test.
pub(crate) struct Dependencies {
    pub(crate) primary: Postgres,
    pub(crate) replica: Postgres,
    pub(crate) broker: RabbitMq,
    pub(crate) primary_database: String,
    pub(crate) replica_database: String,
    pub(crate) second_replica_database: Option<String>,
}

impl Dependencies {
    fn create(servers: &Servers, shape: &Shape) -> Result<Self> {
        let postgres = |own: bool, shared: &Postgres| match own {
            true => servers.own_postgres(),
            false => Ok(shared.clone()),
        };
        let primary = postgres(shape.own_primary, servers.primary())?;
        let replica = postgres(shape.own_replica, servers.replica())?;
        let broker = match shape.own_broker {
            true => servers.own_rabbitmq()?,
            false => servers.broker().clone(),
        };
        Ok(Self {
            primary_database: servers.new_primary_database(&primary)?,
            replica_database: servers.new_replica_database(&replica)?,
            second_replica_database: match shape.second_replica {
                true => Some(servers.new_replica_database(&replica)?),
                false => None,
            },
            primary,
            replica,
            broker,
        })
    }

    /// Servers of the test's own would end with the run; sooner leaves more of the machine to the other tests.
    fn end(&self, servers: &Servers) {
        for (server, shared) in [(&self.primary, servers.primary()), (&self.replica, servers.replica())] {
            if server != shared {
                let _ = server.crash();
            }
        }
        if &self.broker != servers.broker() {
            let _ = self.broker.crash();
        }
    }
}

/// Prints the ends of the services' logs when it is dropped: on an error and on a panic alike.
struct LogsUnlessDone<'p> {
    pair: &'p Pair,
}

impl Drop for LogsUnlessDone<'_> {
    fn drop(&mut self) {
        for service in self.pair.services() {
            println!("--- the end of the log of {}:\n{}", service.name(), service.log_tail());
        }
    }
}
