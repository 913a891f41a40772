//! Runs the command service. The library documents it.

use std::process::ExitCode;

use clap::Parser;
use command_service::cli::Cli;
use shared::process::runtime;

fn main() -> ExitCode {
    runtime::run("command-service", Cli::parse().run())
}
