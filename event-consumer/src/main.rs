//! The event-consumer program. The library's documentation says what it does.

use std::process::ExitCode;

use clap::Parser;
use event_consumer::cli::Cli;
use shared::process::runtime;

fn main() -> ExitCode {
    runtime::run("event-consumer", Cli::parse().run())
}
