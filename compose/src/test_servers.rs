//! Servers for a test run: two databases and a broker that end with the process that asked for them.
//!
//! A process of its own, the keeper, starts them and reads from a pipe. However the test process ends, the pipe closes
//! then, and the keeper ends every server below its directory and removes the directory.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{Account, Postgres, Programs, RabbitMq, ports, rabbitmq::BrokerPorts};

pub use crate::keeper::keep;

/// The command of the `stack` program that runs the keeper.
pub const KEEPER_COMMAND: &str = "test-servers";

/// Another program may take a free port between its choice and the server's start.
const START_ATTEMPTS: usize = 3;

/// Handles to the servers of a test run, for several threads at once. The servers end when it is dropped, or when the
/// process ends: a value in a static is never dropped.
#[derive(Debug)]
pub struct TestServers {
    /// The database of the write side; without databases or roles of the services yet.
    pub primary: Postgres,
    /// The database of the read side; without databases or roles of the services yet.
    pub replica: Postgres,
    /// The broker.
    pub broker: RabbitMq,
    /// Everything of this run. What works below it is ended with the servers, and it is removed then.
    pub directory: PathBuf,
    site: Site,
    keeper: Child,
}

/// Where the servers of a run are made, and as which user they run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) programs: Programs,
    pub(crate) account: Account,
}

/// What the keeper says, in one line, once the servers are up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) site: Site,
    pub(crate) primary: Postgres,
    pub(crate) replica: Postgres,
    pub(crate) broker: RabbitMq,
}

/// Why there are no servers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) error: String,
}

/// Starts a keeper, given the path of the `stack` program, and returns when its servers are ready.
pub fn start(stack: &Path) -> Result<TestServers> {
    let stack = stack.canonicalize().with_context(|| format!("no program {}", stack.display()))?;
    // A session of its own: Ctrl-C ends the tests first, and then the keeper by the end of the pipe.
    let mut command = Command::new("/usr/bin/setsid");
    command.arg(stack).arg(KEEPER_COMMAND).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut keeper = command.spawn().context("cannot start the keeper of the test servers")?;
    let mut line = String::new();
    let output = keeper.stdout.take().context("the keeper has no output")?;
    BufReader::new(output).read_line(&mut line)?;
    if let Ok(failure) = serde_json::from_str::<Failure>(&line) {
        bail!("{}", failure.error);
    }
    let report: Report = serde_json::from_str(&line).context("the keeper of the test servers ended early")?;
    let directory = report.site.directory.clone();
    let Report { site, primary, replica, broker } = report;
    Ok(TestServers { primary, replica, broker, directory, site, keeper })
}

impl TestServers {
    /// Makes and starts one more database server, for a test that stops or breaks it. It ends with the others.
    pub fn another_postgres(&self, name: &str) -> Result<Postgres> {
        self.site.start_postgres(name)
    }

    /// Makes and starts one more broker, for a test that stops or breaks it. It ends with the others.
    pub fn another_rabbitmq(&self, name: &str) -> Result<RabbitMq> {
        self.site.start_rabbitmq(name)
    }
}

impl Drop for TestServers {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Site {
    pub(crate) fn start_postgres(&self, name: &str) -> Result<Postgres> {
        self.attempt(name, |directory| {
            let server = Postgres::create(directory, &self.programs, &self.account, ports::free()?)?;
            server.start().map(|()| server)
        })
    }

    pub(crate) fn start_rabbitmq(&self, name: &str) -> Result<RabbitMq> {
        self.attempt(name, |directory| {
            let broker = RabbitMq::create(directory, &self.programs, &self.account, BrokerPorts::free()?)?;
            broker.start().map(|()| broker)
        })
    }

    fn attempt<T>(&self, name: &str, start: impl Fn(&Path) -> Result<T>) -> Result<T> {
        ensure!(!name.is_empty() && !name.contains('/'), "`{name}` cannot be the name of a directory");
        let mut failure = anyhow!("not tried");
        for attempt in 0..START_ATTEMPTS {
            let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
            match start(&self.directory.join(format!("{name}{suffix}"))) {
                Ok(server) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
