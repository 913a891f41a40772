//! A stack with servers of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::{Port, ports};
use system_tests::{cargo_stack::said, servers::servers};

/// A stack with servers of its own, which may be stopped. What runs in it ends with the servers of this run.
pub(crate) struct OwnStack {
    program: PathBuf,
    directory: PathBuf,
}

impl OwnStack {
    pub(crate) fn new() -> Result<Self> {
        let servers = servers()?;
        Ok(Self { program: servers.binaries.stack.clone(), directory: servers.new_directory("own_stack")? })
    }

    /// `up` with a free port for each flag.
    pub(crate) fn up_on_free_ports() -> Result<Vec<String>> {
        let mut up = ["up", "--detach", "--no-install"].map(str::to_owned).to_vec();
        for port in Port::ALL {
            up.extend([port.flag().to_owned(), ports::free()?.to_string()]);
        }
        Ok(up)
    }

    /// The directory that holds `.stack`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("STACK_DIRECTORY", &self.directory);
        command
    }

    /// What it wrote to standard error; it must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", said(&output));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// What it wrote to standard output; it must succeed.
    pub(crate) fn print(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", said(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What `status --json` says of each part.
    pub(crate) fn parts(&self) -> Result<Vec<Value>> {
        let status: Value = serde_json::from_str(&self.print(&["status", "--json"])?)?;
        Ok(status["services"].as_array().context("no services")?.clone())
    }

    pub(crate) fn addresses(&self) -> Result<Vec<Value>> {
        Ok(self.parts()?.iter().map(|service| service["url"].clone()).collect())
    }
}
