//! The services' command lines.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, blocking, servers::servers};

/// Runs command-service with the pair's own settings and returns what it printed; it must end with status 0.
pub(crate) async fn run_command(pair: &Pair, arguments: &[&str]) -> Result<String> {
    let program = servers()?.binaries.command_service.clone();
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(pair.command_environment()).stdin(Stdio::null());
    let output = blocking(move || command.output().context("cannot run command-service")).await?;
    ensure!(
        output.status.success(),
        "{arguments:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
