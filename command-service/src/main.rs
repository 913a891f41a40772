//! The command service. See the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use command_service::cli::Cli;

/// The multi-thread runtime on which every connection lives; actix's workers have their own.
#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
