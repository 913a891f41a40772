//! What is remembered between invocations, until `down --wipe`.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use stack::{Account, files, process::Process};

use super::{Home, Part, port_choice::Ports};

/// What the directories themselves do not say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The directory of the servers' data.
    pub(crate) servers: PathBuf,
    /// Those of the last `up` that succeeded, or of one that goes on now.
    pub(crate) ports: Ports,
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
        if let Some(stack) = Self::open(home)? {
            return Ok(stack);
        }
        let servers = home.choose_servers_directory(&Account::for_servers()?)?;
        let record = Record { servers, ports: Ports::default(), services: BTreeMap::new() };
        let stack = Self { home: home.clone(), record };
        stack.save()?;
        Ok(stack)
    }

    pub(crate) fn save(&self) -> Result<()> {
        files::replace(&self.home.record(), &serde_json::to_vec_pretty(&self.record)?, None)
    }

    /// Where the part's output goes.
    pub(crate) fn log(&self, part: Part) -> PathBuf {
        match part {
            Part::Primary | Part::Replica | Part::RabbitMq => self.server_directory(part).join("log"),
            Part::CommandService | Part::EventConsumer => self.home.log(part.name()),
        }
    }

    /// The process whose kill is the crash of the part, while it runs.
    pub(crate) fn pid(&self, part: Part) -> Option<i32> {
        match part {
            Part::Primary | Part::Replica => self.postgres(part).ok()?.pid(),
            Part::RabbitMq => self.rabbitmq().ok()?.pid(),
            Part::CommandService | Part::EventConsumer => {
                self.service_process(part).map(|process| process.pid())
            }
        }
    }

    pub(crate) fn is_running(&self, part: Part) -> bool {
        self.pid(part).is_some()
    }

    pub(crate) fn running(&self) -> Vec<Part> {
        Part::ALL.into_iter().filter(|part| self.is_running(*part)).collect()
    }

    /// The part's address, ready to use.
    pub(crate) fn url(&self, part: Part) -> Option<String> {
        match part {
            Part::Primary | Part::Replica => {
                let (role, database) = Self::owner(part);
                Some(self.postgres(part).ok()?.url(role, database))
            }
            Part::RabbitMq => Some(self.rabbitmq().ok()?.amqp_url("/")),
            Part::CommandService | Part::EventConsumer => Some(self.service_url(part)),
        }
    }

    pub(crate) fn service_url(&self, service: Part) -> String {
        format!("http://127.0.0.1:{}", self.service_port(service))
    }

    pub(crate) fn server_directory(&self, part: Part) -> PathBuf {
        self.record.servers.join(part.name())
    }
}
