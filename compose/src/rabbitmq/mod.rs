//! A private RabbitMQ node: its data, its password and its life.

mod lifecycle;
mod node;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    Account, Programs,
    files::{self, Password},
};

const RECORD: &str = "server.json";
/// The user of a broker.
pub const USER: &str = "parking";

/// A private broker: on 127.0.0.1 only, without `guest`, with the management plugin, its own port mapper and its own
/// cookie.
///
/// A handle is plain data. It looks up the broker's processes in `/proc` each time, so clones, other threads and other
/// processes can use it too, also after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitMq {
    directory: PathBuf,
    programs: PathBuf,
    epmd: PathBuf,
    account: Account,
    ports: BrokerPorts,
    password: Password,
}

/// The ports of 127.0.0.1 on which a broker serves its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerPorts {
    /// AMQP 0-9-1.
    pub amqp: u16,
    /// The management API and its pages.
    pub management: u16,
}

impl BrokerPorts {
    /// Two free ports.
    pub fn free() -> Result<Self> {
        Ok(Self { amqp: crate::ports::free()?, management: crate::ports::free()? })
    }
}

impl RabbitMq {
    /// Prepares a new broker in `directory`, which must not exist. Does not start it.
    pub fn create(
        directory: &Path,
        programs: &Programs,
        account: &Account,
        ports: BrokerPorts,
    ) -> Result<Self> {
        ensure!(!directory.exists(), "{} exists already", directory.display());
        account.make_private_directory(directory)?;
        let broker = Self {
            directory: fs::canonicalize(directory)?,
            programs: programs.rabbitmq.clone(),
            epmd: programs.epmd.clone(),
            account: account.clone(),
            ports,
            password: Password::random()?,
        };
        account.make_private_directory(&broker.directory.join("node"))?;
        broker.save()?;
        Ok(broker)
    }

    /// The broker whose data is in `directory`; it may run or not.
    pub fn open(directory: &Path) -> Result<Self> {
        let record = directory.join(RECORD);
        let text = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let mut server: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", record.display()))?;
        // The checkout around it may have been moved since.
        server.directory = fs::canonicalize(directory)?;
        Ok(server)
    }

    /// Whether `directory` holds a broker.
    pub fn exists(directory: &Path) -> bool {
        directory.join(RECORD).is_file()
    }

    /// Listens on other ports from the next start on.
    pub fn set_ports(&mut self, ports: BrokerPorts) -> Result<()> {
        self.ports = ports;
        self.save()
    }

    /// Uses the programs that are installed now from the next start on.
    pub fn set_programs(&mut self, programs: &Programs) -> Result<()> {
        self.programs.clone_from(&programs.rabbitmq);
        self.epmd.clone_from(&programs.epmd);
        self.save()
    }

    /// The ports of 127.0.0.1.
    pub fn ports(&self) -> BrokerPorts {
        self.ports
    }

    /// The directory that holds everything of this broker.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the broker's output goes.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The AMQP address of a virtual host (`/` is the one that always exists), password included.
    pub fn amqp_url(&self, vhost: &str) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{}/{}", self.password.0, self.ports.amqp, percent_encoded(vhost))
    }

    /// The address of the management API and pages, password included.
    pub fn management_url(&self) -> String {
        format!("http://{USER}:{}@127.0.0.1:{}/", self.password.0, self.ports.management)
    }

    /// The user of the AMQP and management addresses.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of that user.
    pub fn password(&self) -> &str {
        &self.password.0
    }

    /// Where the node works and what it owns; the record and the log beside it belong to the caller.
    fn node(&self) -> PathBuf {
        self.directory.join("node")
    }

    fn save(&self) -> Result<()> {
        files::replace(&self.directory.join(RECORD), &serde_json::to_vec_pretty(self)?, None)
    }
}

fn percent_encoded(vhost: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    vhost.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_one_segment_of_the_address() {
        assert_eq!(percent_encoded("/"), "%2f");
        assert_eq!(percent_encoded("test-1 a"), "test-1%20a");
    }
}
