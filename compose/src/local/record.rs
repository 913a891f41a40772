//! What is remembered between invocations, until `down --wipe`.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stack::{
    Account, Port,
    files::{self, Password},
    process::Process,
};

use super::{Home, Part, Shape, port_choice::Ports};

/// What the directories themselves do not say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The directory of the servers' data.
    pub(crate) servers: PathBuf,
    /// Those of the last `up` that succeeded, or of one that goes on now.
    pub(crate) ports: Ports,
    /// Of the same `up`. Earlier versions knew one shape only, and did not write it.
    #[serde(default)]
    pub(crate) shape: Shape,
    /// The ports that have no flag, of the parts that have one each.
    #[serde(default)]
    pub(crate) further_ports: BTreeMap<Part, u16>,
    /// The key with which the services sign their messages. Earlier versions signed nothing.
    #[serde(default)]
    pub(crate) signing_key: Option<Password>,
    pub(crate) services: BTreeMap<Part, ServiceRecord>,
}

/// A service that was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceRecord {
    pub(crate) binary: PathBuf,
    pub(crate) process: Process,
}

/// The stack of a checkout that was up at least once.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) home: Home,
    pub(crate) record: Record,
}

impl Stack {
    /// The checkout's stack, if there is one.
    pub(crate) fn open(home: &Home) -> Result<Option<Self>> {
        let path = home.record();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let record =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(Self { home: home.clone(), record }))
    }

    /// The checkout's stack; makes its directories when there is none. The caller holds the lock.
    pub(crate) fn open_or_create(home: &Home) -> Result<Self> {
        if let Some(mut stack) = Self::open(home)? {
            if stack.record.signing_key.is_none() {
                stack.record.signing_key = Some(Password::random()?);
                stack.save()?;
            }
            return Ok(stack);
        }
        let servers = home.choose_servers_directory(&Account::for_servers()?)?;
        let record = Record {
            servers,
            ports: Ports::default(),
            shape: Shape::default(),
            further_ports: BTreeMap::new(),
            signing_key: Some(Password::random()?),
            services: BTreeMap::new(),
        };
        let stack = Self { home: home.clone(), record };
        stack.save()?;
        Ok(stack)
    }

    pub(crate) fn save(&self) -> Result<()> {
        files::replace(&self.home.record(), &serde_json::to_vec_pretty(&self.record)?, None)
    }

    /// The shape that it has.
    pub(crate) fn shape(&self) -> Shape {
        self.record.shape
    }

    /// Fails when the stack's shape has no such part.
    pub(crate) fn ensure_has(&self, part: Part) -> Result<()> {
        let flag = match part {
            Part::Query(_) => "--query N",
            Part::Gateway => "--gateway",
            _ => "--replicas N",
        };
        let has = self.shape().parts().contains(&part);
        ensure!(has, "there is no {part} in this stack: `cargo stack up {flag}` adds it");
        Ok(())
    }

    /// Where the part's output goes.
    pub(crate) fn log(&self, part: Part) -> PathBuf {
        if part.is_service() { self.home.log(&part.name()) } else { self.server_directory(part).join("log") }
    }

    /// The process whose kill is the crash of the part, while it runs.
    pub(crate) fn pid(&self, part: Part) -> Option<i32> {
        match part {
            Part::Primary | Part::Replica(_) => self.postgres(part).ok()?.pid(),
            Part::RabbitMq => self.rabbitmq().ok()?.pid(),
            Part::Gateway => self.gateway().ok()?.pid(),
            Part::CommandService | Part::Query(_) | Part::EventConsumer(_) => {
                self.service_process(part).map(|process| process.pid())
            }
        }
    }

    pub(crate) fn is_running(&self, part: Part) -> bool {
        self.pid(part).is_some()
    }

    pub(crate) fn running(&self) -> Vec<Part> {
        self.shape().parts().into_iter().filter(|part| self.is_running(*part)).collect()
    }

    /// The part's address, ready to use.
    pub(crate) fn url(&self, part: Part) -> Option<String> {
        match part {
            Part::Primary | Part::Replica(_) => {
                let (role, database) = Self::owner(part);
                Some(self.postgres(part).ok()?.url(role, database))
            }
            Part::RabbitMq => Some(self.rabbitmq().ok()?.amqp_url("/")),
            Part::CommandService | Part::Query(_) | Part::EventConsumer(_) | Part::Gateway => {
                Some(self.http_url(part))
            }
        }
    }

    pub(crate) fn http_url(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.port(part))
    }

    /// The port of a part that has one: the one with its flag, or the free one that it was given.
    pub(crate) fn port(&self, part: Part) -> u16 {
        let with_flag = || self.record.ports.get(Port::of(part).unwrap_or(Port::Http));
        self.record.further_ports.get(&part).copied().unwrap_or_else(with_flag)
    }

    /// Fails when another program has a port of `part`.
    pub(crate) fn check_ports_free(&self, part: Part) -> Result<()> {
        let further = self.record.further_ports.get(&part);
        if let Some(port) = further.filter(|port| !stack::ports::is_free(**port)) {
            bail!("port {port}, for {part}, is taken: `cargo stack up` chooses another while nothing runs");
        }
        self.record.ports.check_free(part)
    }

    pub(crate) fn server_directory(&self, part: Part) -> PathBuf {
        self.record.servers.join(part.name())
    }
}
