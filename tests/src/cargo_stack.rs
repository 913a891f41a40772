//! `cargo stack` on the servers of this run: with services, databases and a record of its own, and nothing of the
//! checkout's `.stack`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Part, Port, Postgres, Shape, ports, wait};

use crate::{
    broker::VirtualHost,
    servers::{Servers, servers},
    wait::RECOVERY,
};

const POLL: Duration = Duration::from_millis(20);

/// The virtual host that `cargo stack` uses, as the management API spells it.
const VIRTUAL_HOST: &str = "%2f";

/// A running stack. It has the servers of the run, so only its services are ever started and stopped.
#[derive(Debug)]
pub struct CargoStack {
    directory: PathBuf,
    program: PathBuf,
    http_port: u16,
    servers: &'static Servers,
    // The names of its databases and of its virtual host are fixed.
    _alone: MutexGuard<'static, ()>,
}

impl CargoStack {
    /// Makes the databases and the virtual host anew, and runs `cargo stack up --detach` on them.
    ///
    /// # Errors
    /// That fails, or the servers do not answer.
    pub fn up() -> Result<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = servers()?;
        make_anew(servers)?;
        let directory = servers.new_directory("cargo_stack")?;
        let ports = write_record(&directory, servers)?;
        let (program, http_port) = (servers.binaries.stack.clone(), ports[&Port::Http]);
        let stack = Self { directory, program, http_port, servers, _alone: alone };
        stack.run(&["up", "--detach", "--no-install"])?;
        Ok(stack)
    }

    /// Waits until the broker has everything that was written.
    ///
    /// # Errors
    /// It does not within [`RECOVERY`].
    pub fn published(&self) -> Result<()> {
        let published = wait::until(RECOVERY, POLL, || {
            Ok((self.sql(Part::Primary, "SELECT count(*) FROM outbox")? == "0").then_some(()))
        })?;
        published.context("the relay does not follow")
    }

    /// The program behind `cargo stack`, set to this stack.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.environment()).stdin(Stdio::null());
        command
    }

    /// What makes the program behind `cargo stack` find this stack.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &Path); 1] {
        [("STACK_DIRECTORY", &self.directory)]
    }

    /// That program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The address of command-service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Runs `cargo stack` with these arguments, which must end well; what it printed on standard output.
    ///
    /// # Errors
    /// It ended with another status than 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command().args(arguments).output()?;
        ensure!(output.status.success(), "cargo stack {arguments:?}: {}", said(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What `status --json` says about a dependency.
    ///
    /// # Errors
    /// It says nothing about it.
    pub fn status_of(&self, part: Part) -> Result<Value> {
        let status: Value = serde_json::from_str(&self.run(&["status", "--json"])?)?;
        let parts = status["services"].as_array().context("no services")?;
        let found = parts.iter().find(|found| found["name"] == part.name());
        Ok(found.with_context(|| format!("nothing about {part}"))?.clone())
    }

    /// Runs SQL on the database of a server as the superuser; rows with columns parted by `|`.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn sql(&self, part: Part, sql: &str) -> Result<String> {
        let (server, database) = database(self.servers, part)?;
        server.execute(database, sql)
    }

    /// Waits until the replica has applied all that was written.
    ///
    /// # Errors
    /// It does not within [`RECOVERY`].
    pub fn level(&self) -> Result<()> {
        let last = "SELECT coalesce(max(position), 0) FROM parking_slot_events";
        let level = wait::until(RECOVERY, POLL, || {
            let written = self.sql(Part::Primary, last)?;
            let applied = self.sql(Part::REPLICA, "SELECT applied_through FROM replication_status")?;
            Ok((written == applied).then_some(()))
        })?;
        level.context("the replica does not follow")
    }
}

impl Drop for CargoStack {
    /// The servers go on, for the other tests.
    fn drop(&mut self) {
        for service in Shape::default().services() {
            let _ = self.command().args(["stop", &service.name()]).output();
        }
    }
}

/// What a program said that failed.
#[must_use]
pub fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn database(servers: &Servers, part: Part) -> Result<(&Postgres, &'static str)> {
    let server = if part == Part::Primary { servers.primary() } else { servers.replica() };
    Ok((server, part.database().with_context(|| format!("{part} is no database"))?.1))
}

fn make_anew(servers: &Servers) -> Result<()> {
    for part in [Part::Primary, Part::REPLICA] {
        let (server, name) = database(servers, part)?;
        server.drop_database(name)?;
        if part == Part::Primary {
            server.provision_primary(name)?
        } else {
            server.provision_replica(name)?
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = VirtualHost::create(servers.broker().clone(), VIRTUAL_HOST.to_owned()).await?;
        host.delete().await?;
        VirtualHost::create(servers.broker().clone(), VIRTUAL_HOST.to_owned()).await
    })?;
    Ok(())
}

/// The record that `cargo stack` keeps, with servers that run already, under the names by which it looks for them.
fn write_record(directory: &Path, servers: &Servers) -> Result<BTreeMap<Port, u16>> {
    let (home, links) = (directory.join(".stack"), directory.join("servers"));
    fs::create_dir(&home)?;
    fs::create_dir(&links)?;
    symlink(servers.primary().directory(), links.join(Part::Primary.name()))?;
    symlink(servers.replica().directory(), links.join(Part::REPLICA.name()))?;
    symlink(servers.broker().directory(), links.join(Part::RabbitMq.name()))?;
    let broker = servers.broker().ports();
    let ports = BTreeMap::from([
        (Port::Http, ports::free()?),
        (Port::ConsumerHttp, ports::free()?),
        (Port::Primary, servers.primary().port()),
        (Port::Replica, servers.replica().port()),
        (Port::Amqp, broker.amqp),
        (Port::Management, broker.management),
    ]);
    let record = json!({ "servers": links, "ports": ports, "services": {} });
    fs::write(home.join("stack.json"), record.to_string())?;
    Ok(ports)
}
