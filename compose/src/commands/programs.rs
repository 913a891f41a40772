//! `psql`, `exec`, `test` and `bench`: this process becomes another program. So that program has the terminal,
//! receives the signals, and decides the exit status.

use std::{
    env,
    ffi::{OsStr, OsString},
    num::NonZeroUsize,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use stack::{install, programs::Wanted};

use super::{permission, up::binary_of};
use crate::{
    cli::Test,
    local::{Home, Part, Stack, inherited_settings},
};

/// Tells the test programs how many tests run at once. The flag `--test-threads` overrides it.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// More than one, because the tests mostly wait for servers.
const TESTS_PER_CORE: usize = 2;

const NOTHING_YET: &str = "nothing was started here yet: `cargo stack up`";
const NOTHING_RUNS: &str = "nothing runs here: `cargo stack up` starts it";

pub(crate) fn psql(home: &Home, part: Part, arguments: Vec<OsString>) -> Result<ExitCode> {
    let stack = Stack::open(home)?.context(NOTHING_YET)?;
    stack.ensure_has(part)?;
    let server = stack.postgres(part)?;
    ensure!(server.is_running(), "{part} does not run: `cargo stack start {part}`");
    let (role, name) = Stack::owner(part);
    become_program(server.psql(role, name, arguments))
}

pub(crate) fn exec(home: &Home, service: Part, arguments: Vec<OsString>) -> Result<ExitCode> {
    let stack = Stack::open(home)?.context(NOTHING_RUNS)?;
    ensure!(!stack.running().is_empty(), NOTHING_RUNS);
    stack.ensure_has(service)?;
    // The program that was started: the sources may have changed since.
    let started = stack.record.services.get(&service).map(|record| record.binary.clone());
    let binary = match started.filter(|binary| binary.is_file()) {
        Some(binary) => binary,
        None => binary_of(&stack::build::services_of(&home.checkout, false)?, service),
    };
    let mut command = stack.service_command(service, &binary)?;
    command.args(arguments);
    become_program(command)
}

pub(crate) fn test(home: &Home, arguments: Test) -> Result<ExitCode> {
    // One test starts a gateway.
    install::find_or_install(permission(arguments.no_install), Wanted::ServersAndGateway)?;
    let release = arguments.release.then_some("--release");
    let asks_for_help = arguments.filter.iter().any(|argument| argument == "--help" || argument == "-h");
    if !arguments.filter.is_empty() && !asks_for_help {
        ensure_a_test_matches(home, release, &arguments.filter)?;
    }
    let mut command = stack::build::cargo();
    // Every test program runs, so that one run shows all that fails.
    command.args(["test", "--workspace", "--no-fail-fast"]).args(release);
    command.arg("--").args(arguments.filter);
    if env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        command.env(TEST_THREADS, (TESTS_PER_CORE * cores).to_string());
    }
    become_program(without_settings(command, home))
}

/// A filter that matches nothing is a mistyped one, and cargo calls a run without tests a success.
fn ensure_a_test_matches(home: &Home, release: Option<&str>, filter: &[OsString]) -> Result<()> {
    let mut list = without_settings(stack::build::cargo(), home);
    // There are no tests in the documentation, and looking for them takes longer than all the rest.
    list.args(["test", "--workspace", "--lib", "--bins", "--tests"]).args(release);
    list.arg("--").args(filter).args(["--list", "--format", "terse"]);
    let listed = launcher::build(&mut list).context("cannot run cargo")?;
    // What fails here, say a flag that does not go with `--list`, is left to the run itself.
    let names = String::from_utf8_lossy(&listed.stdout);
    let matches = names.lines().any(|line| line.ends_with(": test"));
    let filter = filter.join(OsStr::new(" "));
    ensure!(matches || !listed.status.success(), "no test matches `{}`", filter.display());
    Ok(())
}

pub(crate) fn bench(home: &Home, no_install: bool, arguments: Vec<OsString>) -> Result<ExitCode> {
    install::find_or_install(permission(no_install), Wanted::ServersAndLoad)?;
    let mut command = stack::build::cargo();
    command.args(["bench", "--package", "system-tests", "--bench", "bench", "--"]).args(arguments);
    become_program(without_settings(command, home))
}

/// Runs it in the checkout, without settings of the services that the caller's environment may have.
fn without_settings(mut command: Command, home: &Home) -> Command {
    command.current_dir(&home.checkout);
    for name in inherited_settings() {
        command.env_remove(name);
    }
    command
}

/// Returns only when that fails.
fn become_program(mut command: Command) -> Result<ExitCode> {
    let program = command.get_program().to_owned();
    Err(anyhow!(command.exec()).context(format!("cannot run {}", program.display())))
}
