//! Logs on standard error.
//!
//! A separate thread writes them, so that a slow, paused or absent reader of standard error stalls nothing: lines that
//! cannot be written are dropped. Each line has a bound in bytes.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use super::{log_line::BoundedLines, settings::LogFormat};

/// Libraries capped at `info`, since they print what they send: lapin's trace shows the password.
const HELD_AT_INFO: [&str; 6] = [
    "lapin=info",
    "amq_protocol=info",
    "async_rs=info",
    "tokio_postgres=info",
    "mio=info",
    "refinery_core=warn",
];

/// lapin prints the body of each message that the broker returns. The publisher reports a return in its own words.
const RETURNED_MESSAGES: &str = concat!("lapin", "::returned_messages=error");

/// How many lines may wait for the writer; one more is dropped.
const WAITING_MAX_LINES: usize = 8192;

/// The writer of this process. Dropping the guard flushes the waiting lines, for about 1 s at most.
static WRITER: Mutex<Option<(NonBlocking, WorkerGuard)>> = Mutex::new(None);

/// Returns the writer of this process's log lines.
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

/// Starts logging in this format at this level. A process that embeds a service and already logs keeps its own
/// logger.
pub fn init(format: LogFormat, level: LevelFilter) {
    let mut filter = EnvFilter::new(level.to_string());
    let held = HELD_AT_INFO.iter().filter(|_| level > LevelFilter::INFO);
    for directive in held.filter_map(|directive| directive.parse().ok()) {
        filter = filter.add_directive(directive);
    }
    if level >= LevelFilter::WARN {
        filter = RETURNED_MESSAGES.parse().into_iter().fold(filter, EnvFilter::add_directive);
    }
    let logs = fmt()
        .with_writer(BoundedLines::new(writer(), format))
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // The error would go to standard error too, and panic if that is gone.
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Flushes the waiting lines, for about 1 s at most. Call it before the process ends.
pub fn finish() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}
