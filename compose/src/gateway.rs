//! A private nginx in front of the services: its configuration and its life.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Account,
    daemon::{Daemon, Started},
    files, ports,
    process::{self, Process, Signal},
    wait,
};

/// The same file as in the image.
const CONFIGURATION: &str = include_str!("../gateway/nginx.conf");

const START_LIMIT: Duration = Duration::from_secs(20);
/// Requests under way may finish in this time; then they are cut off.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// How many idle connections to the processes of one upstream each nginx worker keeps.
const KEPT_CONNECTIONS: u32 = 32;

/// Where requests go, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstreams {
    /// The processes that answer GET and HEAD.
    pub reads: Vec<String>,
    /// The processes that take everything else.
    pub commands: Vec<String>,
}

/// An nginx of our own, on 127.0.0.1 only, that writes in its own directory only.
///
/// A handle is plain data. It looks up the processes in `/proc` each time, as those of the servers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    directory: PathBuf,
    account: Account,
}

impl Gateway {
    /// The gateway of a directory, which may be missing and may run or not.
    pub fn at(directory: &Path) -> Result<Self> {
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
        Ok(Self { directory, account: Account::for_servers()? })
    }

    /// Starts nginx, however it ended before, and returns once it takes connections. One that runs already gets the
    /// configuration without losing a request.
    pub fn start(&self, program: &Path, port: u16, upstreams: &Upstreams) -> Result<()> {
        self.account.make_private_directory(&self.directory)?;
        let _lock = files::lock(&self.directory.join("lock"))?;
        self.account.make_private_directory(&self.work())?;
        if let Some(master) = self.master() {
            self.signal_all(Signal::CONT)?;
            if self.configure(port, upstreams)? {
                master.signal(Signal::HUP)?;
            }
            return wait_until_open(port, &master, String::new);
        }
        self.end_processes()?;
        self.configure(port, upstreams)?;
        let started = self.spawn(program)?;
        wait_until_open(port, &started.process, || started.output())
    }

    /// Stops nginx. Requests under way may finish within 10 s. Does nothing when it does not run.
    pub fn stop(&self) -> Result<()> {
        if !self.directory.is_dir() {
            return Ok(());
        }
        let _lock = files::lock(&self.directory.join("lock"))?;
        self.signal_all(Signal::CONT)?;
        if let Some(master) = self.master() {
            master.stop(Signal::QUIT, STOP_LIMIT)?;
        }
        self.end_processes()
    }

    /// Ends what a killed master left behind: its workers still hold the port.
    pub fn clear_remains(&self) -> Result<()> {
        if self.master().is_some() { Ok(()) } else { self.end_processes() }
    }

    /// The process id of nginx's master, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.master().map(|master| master.pid())
    }

    /// Where its output goes.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn spawn(&self, program: &Path) -> Result<Started> {
        let (work, configuration) = (self.work(), self.work().join("nginx.conf"));
        let daemon = Daemon::new(program, &work, &self.log()).account(&self.account);
        daemon.arg("-p").arg(&work).arg("-c").arg(configuration).spawn()
    }

    /// Writes the configuration; whether it is another one than before.
    fn configure(&self, port: u16, upstreams: &Upstreams) -> Result<bool> {
        let files = [
            ("nginx.conf", CONFIGURATION.to_owned()),
            ("listen.conf", format!("listen 127.0.0.1:{port};\n")),
            ("upstreams.conf", upstreams.configuration()),
        ];
        let mut is_new = false;
        for (name, text) in files {
            let path = self.work().join(name);
            if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                self.account.write_private_file(&path, text.as_bytes())?;
                is_new = true;
            }
        }
        Ok(is_new)
    }

    fn master(&self) -> Option<Process> {
        let text = fs::read_to_string(self.work().join("nginx.pid")).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        self.processes().into_iter().find(|process| process.pid() == pid)
    }

    /// Where nginx works, and what it owns; lock and log beside it belong to the caller.
    fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    fn processes(&self) -> Vec<Process> {
        process::working_in(&self.work())
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        self.processes().iter().try_for_each(|process| process.signal(signal).map(|_| ()))
    }

    fn end_processes(&self) -> Result<()> {
        process::end_all(|| self.processes(), STOP_LIMIT)
    }
}

impl Upstreams {
    /// What `nginx.conf` includes as `upstreams.conf`.
    pub fn configuration(&self) -> String {
        // One failure takes a process out for 3 s.
        let (remembers, forgets) = ("max_fails=1 fail_timeout=3s", "max_fails=0");
        [
            ("plain_reads", &self.reads, remembers),
            ("demanding_reads", &self.reads, forgets),
            ("commands", &self.commands, remembers),
        ]
        .map(|(name, servers, policy)| upstream(name, servers, policy))
        .join("\n")
    }
}

fn upstream(name: &str, servers: &[String], policy: &str) -> String {
    let mut text = format!("upstream {name} {{\n    zone {name} 64k;\n");
    for server in servers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    server {server} {policy};");
    }
    // The services close an idle connection after 75 s. nginx does so before, so no request meets a closed one.
    let _ = write!(text, "    keepalive {KEPT_CONNECTIONS};\n    keepalive_timeout 60s;\n}}\n");
    text
}

fn wait_until_open(port: u16, master: &Process, output: impl Fn() -> String) -> Result<()> {
    let open = wait::until(START_LIMIT, POLL, || {
        if !master.is_alive() {
            bail!("nginx on port {port} ended while it started:\n{}", output());
        }
        Ok(ports::connect(port, ANSWER_LIMIT).is_ok().then_some(()))
    })?;
    open.with_context(|| format!("nginx on port {port} takes no connection after {START_LIMIT:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_of_the_images_are_those_that_cargo_stack_would_write() {
        let shipped = include_str!("../gateway/upstreams.conf");
        let servers = |names: &[&str]| names.iter().map(|name| format!("{name}:8000")).collect();
        let upstreams = Upstreams {
            reads: servers(&["query-1", "query-2"]),
            commands: servers(&["command-service", "command-2"]),
        };

        let (comment, text) = shipped.split_once("\n\n").expect("a comment first");

        assert!(comment.lines().all(|line| line.starts_with('#')), "{comment}");
        assert_eq!(text, upstreams.configuration());
    }
}
