//! Logs on standard error.
//!
//! A thread of its own writes them, so that a reader of standard error that is slow, paused or gone holds up nothing:
//! lines that cannot be written are dropped.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use super::settings::LogFormat;

/// Libraries that print what they send are held at `info` when more is asked for: lapin's trace shows the password.
const HELD_AT_INFO: [&str; 6] = [
    "lapin=info",
    "amq_protocol=info",
    "async_rs=info",
    "tokio_postgres=info",
    "mio=info",
    "refinery_core=warn",
];

/// How many lines wait to be written; one more is dropped.
const WAITING_MAX_LINES: usize = 8192;

/// The writer of this process. Dropping the guard writes what still waits, for about a second at most.
static WRITER: Mutex<Option<(NonBlocking, WorkerGuard)>> = Mutex::new(None);

/// Where the log lines of this process go: to the thread that writes them.
#[must_use]
pub fn writer() -> NonBlocking {
    let start = || {
        NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(WAITING_MAX_LINES)
            .thread_name("log")
            .finish(io::stderr())
    };
    WRITER.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(start).0.clone()
}

/// Starts logging in this format and at this level. A process that logs already, because it embeds a service, keeps its
/// own way.
pub fn init(format: LogFormat, level: LevelFilter) {
    let mut filter = EnvFilter::new(level.to_string());
    let held = HELD_AT_INFO.iter().filter(|_| level > LevelFilter::INFO);
    for directive in held.filter_map(|directive| directive.parse().ok()) {
        filter = filter.add_directive(directive);
    }
    let logs = fmt()
        .with_writer(writer())
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // The complaint would go to standard error too, and panic when that is gone.
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Writes the lines that still wait, for about a second at most. To be called before the process ends.
pub fn finish() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}
