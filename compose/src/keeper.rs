//! The process that keeps the servers of a test run, and removes what killed runs left behind.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    Account, Programs, account, files,
    process::{self, Process, Signal},
    programs::Wanted,
    test_servers::{Failure, Report, Site},
    wait,
};

/// An immediate stop of a database takes well under a second; then it is killed.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(3);
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// Starts a primary, a replica and a broker, says on standard output in one line of JSON how to reach them, and
/// keeps them until standard input ends or a signal asks to stop. Then ends and removes all of it.
pub fn keep() -> Result<()> {
    let run = Run::begin()?;
    let end = listen_for_end()?;
    let servers = start_servers(&run);
    let line = match &servers {
        Ok(report) => serde_json::to_string(report)?,
        Err(error) => serde_json::to_string(&Failure { error: format!("{error:#}") })?,
    };
    // The test process may have ended by now. Then standard input has ended too.
    let _ = writeln!(io::stdout(), "{line}");
    if servers.is_ok() {
        end.recv().context("nothing is left that could end this run")?;
    }
    run.end()?;
    servers.map(|_| ())
}

fn start_servers(run: &Run) -> Result<Report> {
    let programs = Programs::find(Wanted::Servers).map_err(|missing| {
        anyhow!("missing packages: {}; `cargo stack test` installs them", missing.0.join(", "))
    })?;
    let site = Site { directory: run.directory.clone(), programs, account: run.account.clone() };
    let (primary, replica, broker) = thread::scope(|scope| {
        let primary = scope.spawn(|| site.start_postgres("primary"));
        let replica = scope.spawn(|| site.start_postgres("replica"));
        let broker = site.start_rabbitmq("rabbitmq");
        let panicked = |_| anyhow!("a start panicked");
        (primary.join().map_err(panicked), replica.join().map_err(panicked), broker)
    });
    Ok(Report { primary: primary??, replica: replica??, broker: broker?, site })
}

/// A message comes when the process that started this one has ended or asks for the end.
fn listen_for_end() -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let signalled = sender.clone();
    thread::spawn(move || signals.forever().try_for_each(|_| signalled.send(())));
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        sender.send(())
    });
    Ok(receiver)
}

/// The directory of one test run, locked while its keeper lives.
struct Run {
    directory: PathBuf,
    lock_path: PathBuf,
    _lock: fs::File,
    account: Account,
}

impl Run {
    fn begin() -> Result<Self> {
        let account = Account::for_servers()?;
        let runs = runs_directory()?;
        sweep(&runs)?;
        loop {
            let name = format!("run-{}", files::random_hex(6)?);
            let lock_path = runs.join(format!("{name}.lock"));
            // Another keeper may have taken the new lock file for that of a killed run, and removed it.
            if let Some(lock) = files::try_lock(&lock_path)?.filter(|lock| files::is_at(lock, &lock_path)) {
                let directory = runs.join(name);
                account.make_private_directory(&directory)?;
                return Ok(Self { directory, lock_path, _lock: lock, account });
            }
        }
    }

    fn end(self) -> Result<()> {
        clear(&self.directory)?;
        Ok(fs::remove_file(&self.lock_path)?)
    }
}

/// Outside of the checkout, which the servers' user may not be able to enter. Other users may pass through it, but not
/// list it.
fn runs_directory() -> Result<PathBuf> {
    let runs = PathBuf::from(format!("/var/tmp/parking-tests-{}", rustix::process::geteuid().as_raw()));
    account::make_passable_directory(&runs)?;
    Ok(runs)
}

/// Clears the runs whose keeper was killed: their lock is free.
fn sweep(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs)? {
        let lock_path = entry?.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        if let Some(lock) = files::try_lock(&lock_path)?.filter(|lock| files::is_at(lock, &lock_path)) {
            clear(&lock_path.with_extension(""))?;
            fs::remove_file(&lock_path)?;
            drop(lock);
        }
    }
    Ok(())
}

/// Ends every process that works below `directory` and removes it.
fn clear(directory: &Path) -> Result<()> {
    let below = || process::working_below(directory);
    // A postmaster that is asked to end at once frees its shared memory. One that is killed leaves it behind.
    let postmasters: Vec<Process> = below().into_iter().filter(is_postmaster).collect();
    for postmaster in &postmasters {
        postmaster.signal(Signal::QUIT)?;
        postmaster.signal(Signal::CONT)?;
    }
    let ended = || Ok((!postmasters.iter().any(Process::is_alive)).then_some(()));
    wait::until(IMMEDIATE_STOP_LIMIT, Duration::from_millis(20), ended)?;
    process::end_all(below, KILL_LIMIT)?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// A postmaster works in its data directory, where its lock file names it.
fn is_postmaster(process: &Process) -> bool {
    let lock_file = format!("/proc/{}/cwd/postmaster.pid", process.pid());
    let text = fs::read_to_string(lock_file).unwrap_or_default();
    text.lines().next().is_some_and(|pid| pid.trim() == process.pid().to_string())
}
