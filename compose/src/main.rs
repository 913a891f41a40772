//! The program behind `cargo stack`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A private primary, replica and broker, with both services on top.
#[derive(Debug, Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts servers for a test run and ends them when standard input ends.
    #[command(hide = true)]
    TestServers,
    /// Installs what is missing, and nothing else.
    #[command(hide = true)]
    Install,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::TestServers => stack::test_servers::keep(),
        Command::Install => stack::install::find_or_install(stack::install::Permission::Ask)
            .map(|found| println!("{found:#?}")),
    }
}
