//! The event consumer. See the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use event_consumer::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match shared::process::runtime::build() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("event-consumer: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
