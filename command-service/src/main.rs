//! The command service. See the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use command_service::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match shared::process::runtime::build() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("command-service: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
