//! The event consumer. See the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use event_consumer::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
