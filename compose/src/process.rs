//! Processes, identified so that a process id that is used again does not lead to another process.

use std::{ffi::OsStr, fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

pub use rustix::process::Signal;

use crate::wait;

const POLL: Duration = Duration::from_millis(10);

/// One process: its id together with the moment it started, in the boot it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pid: i32,
    started_ticks: u64,
    boot: String,
}

impl Process {
    /// The living process that has this id now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid).filter(Stat::is_alive)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Some(Self { pid, started_ticks: stat.started_ticks, boot: boot.trim().to_owned() })
    }

    /// Its id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal to it, and to nothing else that might have its id by now. False when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(false);
        };
        // Opened before the identity is checked: the descriptor then stays with the process that was checked.
        let sent = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) if self.is_alive() => pidfd_send_signal(&descriptor, signal),
            Err(rustix::io::Errno::NOSYS) if self.is_alive() => kill_process(pid, signal),
            Ok(_) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::NOSYS) => return Ok(false),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot signal process {}", self.pid)),
        }
    }

    /// Waits until it has ended; false when it still runs after `limit`.
    pub fn wait_for_end(&self, limit: Duration) -> bool {
        let ended = wait::until(limit, POLL, || Ok((!self.is_alive()).then_some(())));
        matches!(ended, Ok(Some(())))
    }

    /// Asks it to end, wakes it if it is paused, and kills it when it has not ended after `limit`.
    pub fn stop(&self, request: Signal, limit: Duration) -> Result<()> {
        self.signal(request)?;
        self.signal(Signal::CONT)?;
        if !self.wait_for_end(limit) {
            self.signal(Signal::KILL)?;
        }
        if !self.wait_for_end(limit) {
            bail!("process {} does not end even when it is killed", self.pid);
        }
        Ok(())
    }

    /// The name of its program, at most 15 bytes long.
    pub fn program(&self) -> String {
        Stat::read(self.pid).map(|stat| stat.program).unwrap_or_default()
    }

    /// Whether it is stopped by a signal.
    pub fn is_paused(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.state == 'T')
    }
}

/// The living processes whose working directory is exactly `directory`.
pub fn working_in(directory: &Path) -> Vec<Process> {
    let Ok(wanted) = fs::metadata(directory) else {
        return Vec::new();
    };
    all().into_iter().filter(|process| works_in(process.pid, &wanted)).collect()
}

/// The living processes whose working directory is `directory` or lies below it, or did before it was removed.
pub fn working_below(directory: &Path) -> Vec<Process> {
    let below = |process: &Process| {
        let Ok(link) = fs::read_link(format!("/proc/{}/cwd", process.pid)) else {
            return false;
        };
        let removed = link.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(Path::new);
        let path = removed.unwrap_or(&link);
        // A process of another mount namespace can show the same path and mean another directory.
        let same = || fs::metadata(path).is_ok_and(|wanted| works_in(process.pid, &wanted));
        path.starts_with(directory) && (removed.is_some() || same())
    };
    all().into_iter().filter(below).collect()
}

fn works_in(pid: i32, wanted: &fs::Metadata) -> bool {
    fs::metadata(format!("/proc/{pid}/cwd"))
        .is_ok_and(|found| found.dev() == wanted.dev() && found.ino() == wanted.ino())
}

/// Kills all that `find` finds until it finds nothing: a process may start another before it is killed.
pub fn end_all(find: impl Fn() -> Vec<Process>, limit: Duration) -> Result<()> {
    let ended = wait::until(limit, POLL, || {
        let found = find();
        for process in &found {
            process.signal(Signal::KILL)?;
        }
        Ok(found.is_empty().then_some(()))
    })?;
    if ended.is_none() {
        bail!(
            "processes {:?} do not end even when they are killed",
            find().iter().map(Process::pid).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// Processes that may be servers: those without a terminal. A shell in a server's directory has a terminal. The
/// callers of this program may have none, and are left out.
fn all() -> Vec<Process> {
    let callers = callers();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| OsStr::to_str(&entry.file_name())?.parse().ok());
    let detached = |pid: &i32| Stat::read(*pid).is_some_and(|stat| stat.terminal == 0);
    ids.filter(|pid| !callers.contains(pid)).filter(detached).filter_map(Process::of).collect()
}

/// This process and those that it descends from.
fn callers() -> Vec<i32> {
    let own = i32::try_from(std::process::id()).ok();
    let parent = |pid: &i32| Stat::read(*pid).map(|stat| stat.parent).filter(|parent| *parent > 0);
    std::iter::successors(own, parent).collect()
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    program: String,
    state: char,
    parent: i32,
    terminal: i32,
    started_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // Counted from the state, which proc(5) calls field 3.
        const PARENT: usize = 1;
        const TERMINAL: usize = 4;
        const STARTED: usize = 19;
        // The program's name may itself hold spaces and parentheses.
        let (program, rest) = line.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            program: program.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(PARENT)?.parse().ok()?,
            terminal: fields.get(TERMINAL)?.parse().ok()?,
            started_ticks: fields.get(STARTED)?.parse().ok()?,
        })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let line = "42 (a) S (b)) T 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987 1 1 1";

        let stat = Stat::parse(line);

        let program = "a) S (b)".to_owned();
        assert_eq!(stat, Some(Stat { program, state: 'T', parent: 1, terminal: 0, started_ticks: 987 }));
    }

    #[test]
    fn this_process_is_alive_and_a_later_holder_of_its_id_is_another() {
        let own =
            Process::of(i32::try_from(std::process::id()).expect("a process id")).expect("this process");
        let other = Process { started_ticks: own.started_ticks + 1, ..own.clone() };

        assert!(own.is_alive());
        assert!(!other.is_alive());
    }
}
