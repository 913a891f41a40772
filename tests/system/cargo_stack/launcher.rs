//! What `cargo stack` says before it runs: it builds a small package named `stack` here, with the real cargo.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use system_tests::{cargo_stack::said, servers::servers, terminal::on_terminal};

use super::copy_program;

const COMPILING: &str = "compiling (the first time takes some minutes)\n";
const WAITING: &str = "waiting for another cargo\n";

/// The place of a checkout that holds nothing but a program `stack`, which prints its arguments.
struct Checkout {
    directory: PathBuf,
    launcher: PathBuf,
}

impl Checkout {
    fn make() -> Result<Self> {
        let servers = servers()?;
        let directory = servers.new_directory("launcher")?;
        let launcher = directory.join("target/launcher/launcher");
        fs::create_dir_all(directory.join("src"))?;
        fs::create_dir_all(directory.join("target/launcher"))?;
        fs::write(
            directory.join("Cargo.toml"),
            "[package]\nname = \"stack\"\nedition = \"2024\"\n\n[workspace]\n",
        )?;
        copy_program(&servers.binaries.stack.with_file_name("launcher"), &launcher)?;
        let checkout = Self { directory, launcher };
        checkout.write_program("println!(\"{:?}\", std::env::args().skip(1).collect::<Vec<_>>())")?;
        Ok(checkout)
    }

    fn write_program(&self, body: &str) -> Result<()> {
        Ok(fs::write(self.directory.join("src/main.rs"), format!("fn main() {{ {body} }}\n"))?)
    }

    fn run(&self) -> Result<Output> {
        let mut command = Command::new(&self.launcher);
        command.args(["up", "--detach"]);
        self.prepare(&mut command);
        Ok(command.output()?)
    }

    /// As cargo runs it, with a cache of its own, since builds of other tests lock the user's.
    fn prepare(&self, command: &mut Command) {
        command.env("CARGO_MANIFEST_DIR", &self.directory).env("CARGO_HOME", self.directory.join("home"));
        command.stdin(Stdio::null());
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            command.env_remove(name);
        }
    }
}

#[test]
fn a_build_is_announced_and_one_that_is_up_to_date_is_not() -> Result<()> {
    let checkout = Checkout::make()?;

    let first = checkout.run()?;
    let second = checkout.run()?;

    for (output, errors, reason) in [(first, COMPILING, "it compiles"), (second, "", "nothing has changed")] {
        assert_eq!(String::from_utf8_lossy(&output.stderr), errors, "{reason}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "[\"up\", \"--detach\"]\n", "{reason}");
        assert_eq!(output.status.code(), Some(0), "{reason}");
    }
    Ok(())
}

#[test]
fn a_build_on_a_terminal_shows_what_cargo_shows() -> Result<()> {
    let checkout = Checkout::make()?;
    let line = checkout.launcher.to_string_lossy().into_owned();

    let shown = on_terminal(80, &line, |command| checkout.prepare(command))?;

    let compiling = shown.find(COMPILING).with_context(|| format!("not announced: {shown:?}"))?;
    let cargo = shown.find("Compiling").with_context(|| format!("not from cargo: {shown:?}"))?;
    ensure!(compiling < cargo && shown.ends_with("[]\n"), "in another order: {shown:?}");
    Ok(())
}

#[test]
fn a_build_that_waits_for_another_cargo_says_so() -> Result<()> {
    let checkout = Checkout::make()?;
    checkout.run()?;
    // What a cargo locks while it builds.
    let lock = File::open(checkout.directory.join("target/debug/.cargo-lock"))?;
    lock.lock()?;
    let mut command = Command::new(&checkout.launcher);
    checkout.prepare(&mut command);

    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut errors = BufReader::new(running.stderr.take().context("no errors")?);
    let mut first = String::new();
    errors.read_line(&mut first)?;
    lock.unlock()?;

    let mut rest = String::new();
    errors.read_to_string(&mut rest)?;
    assert_eq!((first.as_str(), rest.as_str()), (WAITING, ""));
    assert_eq!(running.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_build_that_fails_says_why_and_runs_nothing() -> Result<()> {
    let checkout = Checkout::make()?;
    checkout.write_program("nonsense()")?;

    let output = checkout.run()?;

    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(errors.contains("cannot find function `nonsense`"), "{}", said(&output));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", said(&output));
    Ok(())
}
