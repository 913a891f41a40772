//! The databases and the broker of this checkout.

use std::time::Duration;

use anyhow::{Context, Result};
use stack::{Account, Port, Postgres, Programs, RabbitMq, Role, process, rabbitmq::BrokerPorts};

use super::{Part, Stack};

/// How long killed processes may take to be gone.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(20);

impl Stack {
    pub(crate) fn postgres(&self, part: Part) -> Result<Postgres> {
        Postgres::open(&self.server_directory(part)).with_context(|| format!("there is no {part} yet"))
    }

    pub(crate) fn rabbitmq(&self) -> Result<RabbitMq> {
        RabbitMq::open(&self.server_directory(Part::RabbitMq)).context("there is no rabbitmq yet")
    }

    /// The role that owns the part's database, and that database.
    pub(crate) fn owner(part: Part) -> (Role, &'static str) {
        part.database().expect("only databases have an owner")
    }

    /// Makes the server's data where there is none, and tells a server that does not run its ports and programs.
    pub(crate) fn prepare_server(&self, part: Part, programs: &Programs) -> Result<()> {
        let account = Account::for_servers()?;
        let directory = self.server_directory(part);
        if !directory.join("server.json").is_file() && directory.exists() {
            // The first start was cut off before the server had any data of value.
            std::fs::remove_dir_all(&directory)?;
        }
        match part {
            Part::RabbitMq if !RabbitMq::exists(&directory) => {
                RabbitMq::create(&directory, programs, &account, self.broker_ports()).map(|_| ())
            }
            Part::Primary | Part::Replica(_) if !Postgres::exists(&directory) => {
                Postgres::create(&directory, programs, &account, self.port(part)).map(|_| ())
            }
            _ => self.update_server(part, programs),
        }
    }

    /// Tells a server that does not run its ports and programs. Does nothing where there is no server yet.
    pub(crate) fn update_server(&self, part: Part, programs: &Programs) -> Result<()> {
        if !self.server_directory(part).join("server.json").is_file() || self.is_running(part) {
            return Ok(());
        }
        if part == Part::RabbitMq {
            let mut broker = self.rabbitmq()?;
            broker.set_ports(self.broker_ports())?;
            return broker.set_programs(programs);
        }
        let mut server = self.postgres(part)?;
        server.set_port(self.port(part))?;
        server.set_programs(programs)
    }

    /// Starts a server and makes its roles and databases where they are missing.
    pub(crate) fn start_server(&self, part: Part) -> Result<()> {
        let Some((_, database)) = part.database() else {
            return self.rabbitmq()?.start();
        };
        let server = self.postgres(part)?;
        server.start()?;
        let provisioned = match part {
            Part::Primary => server.provision_primary(database),
            _ => server.provision_replica(database),
        };
        provisioned.with_context(|| format!("cannot set up the {part}"))
    }

    pub(crate) fn stop_server(&self, part: Part) -> Result<()> {
        if !self.server_directory(part).join("server.json").is_file() {
            return Ok(());
        }
        match part {
            Part::RabbitMq => self.rabbitmq()?.stop(),
            _ => self.postgres(part)?.stop(),
        }
    }

    /// Kills all that still works in the stack's directories. After an orderly stop that is only what has lost its
    /// files.
    pub(crate) fn kill_remains(&self) -> Result<()> {
        let services = self.home.services();
        process::end_all(
            || [process::working_below(&self.record.servers), process::working_below(&services)].concat(),
            KILL_LIMIT,
        )
    }

    fn broker_ports(&self) -> BrokerPorts {
        let ports = &self.record.ports;
        BrokerPorts { amqp: ports.get(Port::Amqp), management: ports.get(Port::Management) }
    }
}
