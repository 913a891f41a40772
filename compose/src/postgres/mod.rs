//! A private PostgreSQL server: its data, its passwords and its life.

mod lifecycle;
mod provision;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    Account, Programs,
    files::{self, Password},
};

const RECORD: &str = "server.json";
const SUPERUSER: &str = "postgres";

/// A role that can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The superuser, for tests and provisioning.
    Superuser,
    /// Owner of the primary database.
    CommandService,
    /// Owner of the replica database.
    EventConsumer,
    /// What command-service is on the replica: it may SELECT and LISTEN, nothing else.
    CommandServiceReader,
}

impl Role {
    const ALL: [Self; 4] =
        [Self::Superuser, Self::CommandService, Self::EventConsumer, Self::CommandServiceReader];

    /// Its name in the server.
    pub fn name(self) -> &'static str {
        match self {
            Self::Superuser => SUPERUSER,
            Self::CommandService => "command_service",
            Self::EventConsumer => "event_consumer",
            Self::CommandServiceReader => "command_service_reader",
        }
    }
}

/// A server of our own: durable as installed, on TCP of 127.0.0.1 only, with scram and random passwords.
///
/// A handle is plain data. It looks up the server's state on disk and in `/proc` each time, so clones, other threads
/// and other processes can use it too, also after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    account: Account,
    port: u16,
    passwords: BTreeMap<Role, Password>,
}

impl Postgres {
    /// Makes the data of a new server in `directory`, which must not exist. Does not start it.
    pub fn create(directory: &Path, programs: &Programs, account: &Account, port: u16) -> Result<Self> {
        ensure!(!directory.exists(), "{} exists already", directory.display());
        account.make_private_directory(directory)?;
        let directory = fs::canonicalize(directory)?;
        let passwords = Role::ALL.into_iter().map(|role| Ok((role, Password::random()?)));
        let passwords = passwords.collect::<Result<BTreeMap<_, _>>>()?;
        let programs = programs.postgres.clone();
        let server = Self { directory, programs, account: account.clone(), port, passwords };
        server.initialize()?;
        server.save()?;
        Ok(server)
    }

    /// The server whose data is in `directory`; it may run or not.
    pub fn open(directory: &Path) -> Result<Self> {
        let record = directory.join(RECORD);
        let text = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let mut server: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", record.display()))?;
        // The checkout around it may have been moved since.
        server.directory = fs::canonicalize(directory)?;
        Ok(server)
    }

    /// Whether `directory` holds the complete data of a server.
    pub fn exists(directory: &Path) -> bool {
        directory.join(RECORD).is_file()
    }

    /// Listens on another port from the next start on.
    pub fn set_port(&mut self, port: u16) -> Result<()> {
        self.port = port;
        self.save()
    }

    /// Uses the programs that are installed now, unless they are of another major version than the data.
    pub fn set_programs(&mut self, programs: &Programs) -> Result<()> {
        let version = fs::read_to_string(self.data().join("PG_VERSION"))?;
        let found = programs.postgres.to_string_lossy().contains(&format!("/{}/", version.trim()));
        if found || !self.programs.join("postgres").is_file() {
            self.programs = programs.postgres.clone();
        }
        self.save()
    }

    /// The port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory that holds everything of this server.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the server's output goes.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The address of a database for a role, password included.
    pub fn url(&self, role: Role, database: &str) -> String {
        format!("postgres://{}:{}@127.0.0.1:{}/{database}", role.name(), self.passwords[&role].0, self.port)
    }

    /// The address of a database for the superuser, password included.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(Role::Superuser, database)
    }

    /// The `psql` beside the server's programs, set to connect as `role`; `arguments` follow.
    pub fn psql(&self, role: Role, database: &str, arguments: impl IntoIterator<Item = OsString>) -> Command {
        self.client("psql", role, database, arguments)
    }

    /// A client program beside the server's, set to connect as `role`; `arguments` follow.
    pub fn client(
        &self,
        program: &str,
        role: Role,
        database: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Command {
        let mut command = Command::new(self.programs.join(program));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", role.name());
        command.env("PGPASSWORD", &self.passwords[&role].0).env("PGDATABASE", database);
        command.args(arguments);
        command
    }

    /// Runs SQL as the superuser and returns its rows, columns parted by `|`. It stops at the first error.
    pub fn execute(&self, database: &str, sql: &str) -> Result<String> {
        self.execute_as(Role::Superuser, database, sql)
    }

    /// Runs SQL as a role and returns its rows, columns parted by `|`. It stops at the first error.
    pub fn execute_as(&self, role: Role, database: &str, sql: &str) -> Result<String> {
        const OPTIONS: [&str; 8] = ["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f-"];
        let mut command = self.psql(role, database, OPTIONS.map(OsString::from));
        command.env("PGCONNECT_TIMEOUT", "5").current_dir("/");
        let mut psql = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // By standard input, since arguments, and the passwords in them, could be seen by every user.
        psql.stdin.take().context("psql has no input")?.write_all(sql.as_bytes())?;
        let output = psql.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The server's files. Copy them only while it is stopped.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn save(&self) -> Result<()> {
        files::replace(&self.directory.join(RECORD), &serde_json::to_vec_pretty(self)?, None)
    }

    fn initialize(&self) -> Result<()> {
        let password = self.directory.join("password");
        self.account.write_private_file(&password, self.passwords[&Role::Superuser].0.as_bytes())?;
        let mut initdb = self.account.command(&self.programs.join("initdb"));
        // Encoding and locale are spelled out: initdb would take them from an environment that may say nothing.
        initdb.args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"]);
        initdb.arg("-D").arg(self.data()).arg("--pwfile").arg(&password);
        let output = initdb.output().context("cannot run initdb")?;
        fs::remove_file(&password)?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
