//! Processes that outlive the process that starts them.

use std::{
    ffi::OsStr,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result};

use crate::{Account, account::SYSTEM_PATH, files, process::Process};

/// A process to start. It has a session of its own, and nothing of the caller's terminal, directory or descriptors.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    command: Command,
    log: PathBuf,
}

/// A process that was started, and where its output goes.
#[derive(Clone, Debug)]
pub struct Started {
    /// The process itself, not the shell or session leader around it.
    pub process: Process,
    log: PathBuf,
    log_began: u64,
}

impl Daemon {
    /// A process whose output is appended to `log` and which works in `directory`.
    pub fn new(program: &Path, directory: &Path, log: &Path) -> Self {
        // `setsid` replaces itself by the program: the process id stays the same.
        let mut command = Command::new("/usr/bin/setsid");
        command.arg(program).current_dir(directory).stdin(Stdio::null());
        Self { program: program.to_path_buf(), command, log: log.to_path_buf() }
    }

    /// The same, with a socket on which it listens, handed over as systemd does it: as descriptor 3, with two
    /// variables that say so.
    pub fn with_socket(program: &Path, directory: &Path, log: &Path, socket: TcpListener) -> Self {
        // The shell replaces itself by the program too. Only a shell can move a descriptor without unsafe code.
        const HAND_OVER: &str = r#"exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@""#;
        let mut daemon = Self::new(Path::new("/bin/sh"), directory, log);
        daemon.command.args(["-c", HAND_OVER, "sh"]).arg(program).stdin(OwnedFd::from(socket));
        Self { program: program.to_path_buf(), ..daemon }
    }

    /// Runs it as this user, with nothing of the caller's environment.
    #[must_use]
    pub fn account(mut self, account: &Account) -> Self {
        self.command.env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
        account.apply(&mut self.command);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes variables out of the environment that it would inherit.
    #[must_use]
    pub fn without(mut self, names: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    /// Starts it.
    pub fn spawn(mut self) -> Result<Started> {
        let log = files::open_log(&self.log)?;
        let log_began = log.metadata()?.len();
        self.command.stdout(log.try_clone()?).stderr(log);
        // This process may have inherited descriptors, such as the pipe of `$(cargo stack up --detach)`.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let program = self.program.display().to_string();
        let mut child = self.command.spawn().with_context(|| format!("cannot start {program}"))?;
        let pid = i32::try_from(child.id()).context("a process id")?;
        let process = Process::of(pid);
        // While this process runs it reaps its child, so that no zombie keeps the process id.
        thread::spawn(move || child.wait());
        let started = |process| Started { process, log: self.log.clone(), log_began };
        process
            .map(started)
            .with_context(|| format!("{program} ended at once: {}", files::log_since(&self.log, log_began)))
    }
}

impl Started {
    /// A process that was started earlier and writes to `log`. Its output is what it writes from now on.
    pub fn attach(process: Process, log: &Path) -> Self {
        let log_began = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
        Self { process, log: log.to_path_buf(), log_began }
    }

    /// What it has written so far, the last lines of it.
    pub fn output(&self) -> String {
        files::log_since(&self.log, self.log_began)
    }
}
