//! The servers of a test run and the programs under test: started and built once per process.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, anyhow, ensure};
use stack::{Postgres, RabbitMq, Role, TestServers, build::Binaries};

const TEMPLATE: &str = "template_parking";

/// A migration of the replica needs its own database only; where the broker is must be set, and it may be down.
const NO_BROKER: &str = "amqp://nobody@127.0.0.1:9/nowhere";

/// Everything that the tests of one process share.
#[derive(Debug)]
pub struct Servers {
    /// The programs under test, up to date.
    pub binaries: Binaries,
    running: TestServers,
    next_name: AtomicU32,
    // A template that somebody is connected to cannot be copied, and a copy is such a connection.
    copying: Mutex<()>,
}

/// The servers of this process; started when first asked for. They end with the process, however it ends.
///
/// # Errors
/// They could not be built or started, which then holds for every test.
pub fn servers() -> Result<&'static Servers> {
    static SERVERS: LazyLock<Result<Servers, String>> =
        LazyLock::new(|| Servers::start().map_err(|error| format!("{error:#}")));
    SERVERS.as_ref().map_err(|error| anyhow!("no servers: {error}"))
}

impl Servers {
    fn start() -> Result<Self> {
        // Optimized if this program is: `cargo stack test --release` and `cargo stack bench`.
        let binaries = stack::build::services(!cfg!(debug_assertions))?;
        let running = stack::test_servers::start(&binaries.stack)?;
        let servers = Self { binaries, running, next_name: AtomicU32::new(1), copying: Mutex::new(()) };
        servers.prepare_primary(&servers.running.primary, TEMPLATE)?;
        servers.prepare_replica(&servers.running.replica, TEMPLATE)?;
        Ok(servers)
    }

    /// The shared primary server. Not to be stopped.
    #[must_use]
    pub fn primary(&self) -> &Postgres {
        &self.running.primary
    }

    /// The shared replica server. Not to be stopped.
    #[must_use]
    pub fn replica(&self) -> &Postgres {
        &self.running.replica
    }

    /// The shared broker. Not to be stopped.
    #[must_use]
    pub fn broker(&self) -> &RabbitMq {
        &self.running.broker
    }

    /// A database server of the test's own, to be stopped and broken.
    ///
    /// # Errors
    /// It does not start.
    pub fn own_postgres(&self) -> Result<Postgres> {
        self.running.another_postgres(&self.unique_name("postgres"))
    }

    /// A broker of the test's own, to be stopped and broken.
    ///
    /// # Errors
    /// It does not start.
    pub fn own_rabbitmq(&self) -> Result<RabbitMq> {
        self.running.another_rabbitmq(&self.unique_name("rabbitmq"))
    }

    /// A name that nothing else in this run has.
    #[must_use]
    pub fn unique_name(&self, kind: &str) -> String {
        format!("{kind}_{}", self.next_name.fetch_add(1, Ordering::Relaxed))
    }

    /// A new directory of this run, removed with it. What works in it is ended with the servers.
    ///
    /// # Errors
    /// The disk is full.
    pub fn new_directory(&self, kind: &str) -> Result<PathBuf> {
        let directory = self.running.directory.join(self.unique_name(kind));
        std::fs::create_dir(&directory)?;
        Ok(directory)
    }

    /// A new, migrated database of the write side on `server`.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn new_primary_database(&self, server: &Postgres) -> Result<String> {
        let name = self.unique_name("primary");
        if server == self.primary() {
            self.copy_template(server, &name)?;
        } else {
            self.prepare_primary(server, &name)?;
        }
        Ok(name)
    }

    /// A new, migrated database of the read side on `server`.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn new_replica_database(&self, server: &Postgres) -> Result<String> {
        let name = self.unique_name("replica");
        if server == self.replica() {
            self.copy_template(server, &name)?;
        } else {
            self.prepare_replica(server, &name)?;
        }
        Ok(name)
    }

    fn copy_template(&self, server: &Postgres, name: &str) -> Result<()> {
        let _one_at_a_time = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        server.create_database_from(TEMPLATE, name)
    }

    fn prepare_primary(&self, server: &Postgres, name: &str) -> Result<()> {
        server.provision_primary(name)?;
        let url = server.url(Role::CommandService, name);
        migrate(&self.binaries.command_service, &[("DATABASE_URL", url.as_str())])
    }

    fn prepare_replica(&self, server: &Postgres, name: &str) -> Result<()> {
        server.provision_replica(name)?;
        let url = server.url(Role::EventConsumer, name);
        let settings = [("REPLICA_DATABASE_URL", url.as_str()), ("RABBITMQ_BROKER_URL", NO_BROKER)];
        migrate(&self.binaries.event_consumer, &settings)
    }
}

fn migrate(program: &Path, settings: &[(&str, &str)]) -> Result<()> {
    let output = Command::new(program)
        .arg("migrate")
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} migrate: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
