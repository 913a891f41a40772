//! Starting, ending and pausing the server, whatever state it was left in.

use std::{fs, io, time::Duration};

use anyhow::{Context, Result, bail};

use super::Postgres;
use crate::{
    daemon::{Daemon, Started},
    files,
    process::{self, Process, Signal},
    wait,
};

/// After a crash the server first replays its log; beyond this the start counts as failed.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Connections of the services' pools, several instances of them in tests, and `psql`.
const MAX_CONNECTIONS: u32 = 200;

impl Postgres {
    /// Starts the server, however it ended before, and returns once it accepts queries.
    pub fn start(&self) -> Result<()> {
        let _lock = files::lock(&self.directory.join("lock"))?;
        if let Some(postmaster) = self.postmaster() {
            self.resume()?;
            return self.wait_until_ready(&postmaster, String::new);
        }
        self.clear_remains()?;
        let started = self.spawn()?;
        self.wait_until_ready(&started.process, || started.output())
    }

    /// Stops the server in an orderly way ("fast": it ends its connections). Does nothing when it does not run.
    pub fn stop(&self) -> Result<()> {
        let _lock = files::lock(&self.directory.join("lock"))?;
        self.resume()?;
        if let Some(postmaster) = self.postmaster() {
            postmaster.stop(Signal::INT, STOP_LIMIT)?;
        }
        self.end_processes()
    }

    /// Kills the postmaster and its children without notice, as a crash of the machine would.
    pub fn crash(&self) -> Result<()> {
        if let Some(postmaster) = self.postmaster() {
            postmaster.signal(Signal::KILL)?;
        }
        self.end_processes()
    }

    /// Freezes all processes of the server: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        // The postmaster first: it could start more processes.
        if let Some(postmaster) = self.postmaster() {
            postmaster.signal(Signal::STOP)?;
        }
        self.signal_all(Signal::STOP)
    }

    /// Undoes [`Postgres::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    /// Whether the postmaster runs.
    pub fn is_running(&self) -> bool {
        self.postmaster().is_some()
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.postmaster().map(|process| process.pid())
    }

    /// Whether the server says that it accepts connections.
    pub fn is_ready(&self) -> bool {
        self.postmaster()
            .is_some_and(|postmaster| !postmaster.is_paused() && self.announces_ready(&postmaster))
    }

    fn spawn(&self) -> Result<Started> {
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            // Paths of sockets are limited to 107 bytes; a checkout may lie deeper.
            "unix_socket_directories=".to_owned(),
            format!("max_connections={MAX_CONNECTIONS}"),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        let daemon =
            Daemon::new(&self.programs.join("postgres"), &self.data(), &self.log()).account(&self.account);
        let daemon = daemon.arg("-D").arg(self.data());
        settings.iter().fold(daemon, |daemon, setting| daemon.arg("-c").arg(setting)).spawn()
    }

    fn wait_until_ready(&self, postmaster: &Process, output: impl Fn() -> String) -> Result<()> {
        let ready = wait::until(START_LIMIT, POLL, || {
            if !postmaster.is_alive() {
                bail!("PostgreSQL on port {} ended while it started:\n{}", self.port, output());
            }
            Ok(self.announces_ready(postmaster).then_some(()))
        })?;
        ready.with_context(|| format!("PostgreSQL on port {} is not ready after {START_LIMIT:?}", self.port))
    }

    /// The postmaster writes its state into its lock file, which is where `pg_ctl` looks too.
    fn announces_ready(&self, postmaster: &Process) -> bool {
        const STATE_LINE: usize = 7;
        let text = fs::read_to_string(self.lock_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let own = lines.first().is_some_and(|pid| *pid == postmaster.pid().to_string());
        own && lines.get(STATE_LINE) == Some(&"ready")
    }

    fn postmaster(&self) -> Option<Process> {
        let text = fs::read_to_string(self.lock_file()).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        self.processes().into_iter().find(|process| process.pid() == pid)
    }

    /// Every process of a server works in its data directory.
    fn processes(&self) -> Vec<Process> {
        process::working_in(&self.data())
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        self.processes().iter().try_for_each(|process| process.signal(signal).map(|_| ()))
    }

    fn end_processes(&self) -> Result<()> {
        process::end_all(|| self.processes(), STOP_LIMIT)
    }

    /// Ends children that outlived their postmaster, and removes its lock file. The process id in it may belong to
    /// another process by now, which would keep the server from starting.
    fn clear_remains(&self) -> Result<()> {
        self.end_processes()?;
        match fs::remove_file(self.lock_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("cannot remove postmaster.pid")
            }
            _ => Ok(()),
        }
    }

    fn lock_file(&self) -> std::path::PathBuf {
        self.data().join("postmaster.pid")
    }
}
