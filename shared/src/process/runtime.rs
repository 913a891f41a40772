//! The runtime that runs a service and its connections.

use std::{io::Write, process::ExitCode, thread, time::Duration};

use tokio::runtime::{Builder, Runtime};

use super::telemetry;

/// How long threads may take to finish when the process ends.
const END_MAX: Duration = Duration::from_millis(200);

/// A multi-thread runtime with a thread for every second core. PostgreSQL and the HTTP workers need the other
/// cores. Besides, a connection's task and its caller wake each other soonest on one thread.
///
/// # Errors
/// The system provides no threads.
pub fn build() -> std::io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread().worker_threads(cores.div_ceil(2)).enable_all().build()
}

/// Runs a program to its end, then cuts off the tasks that still run.
pub fn run(name: &str, program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("{name}: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(program);
    runtime.shutdown_timeout(END_MAX);
    telemetry::finish();
    ended
}

/// Writes a line to standard error, after every log line so far. Unlike `eprintln!`, it does not panic when
/// standard error is closed.
pub fn complain(line: &str) {
    telemetry::finish();
    let _ = writeln!(std::io::stderr(), "{line}");
}
