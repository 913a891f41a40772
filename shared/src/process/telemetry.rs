//! Logs on standard error.
//!
//! A separate thread writes them, so that a slow, paused or absent reader of standard error stalls nothing: lines that
//! cannot be written are dropped. Each line has a bound in bytes.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    json_line::JsonLine, json_members::JsonMembers, log_line::BoundedLines, paced_writer::PacedWriter,
    settings::LogFormat,
};

/// The most that libraries may log that print what they send: lapin's trace shows the password.
const HELD: [(&str, LevelFilter); 6] = [
    ("lapin", LevelFilter::INFO),
    ("amq_protocol", LevelFilter::INFO),
    ("async_rs", LevelFilter::INFO),
    ("tokio_postgres", LevelFilter::INFO),
    ("mio", LevelFilter::INFO),
    ("refinery_core", LevelFilter::WARN),
];

/// lapin prints the body of each message that the broker returns. The publisher reports a return in its own words.
const RETURNED_MESSAGES: (&str, LevelFilter) = (concat!("lapin", "::returned_messages"), LevelFilter::ERROR);

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
            .finish(PacedWriter::new(io::stderr()))
    };
    WRITER.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(start).0.clone()
}

/// Starts logging in this format at this level. A process that embeds a service and already logs keeps its own
/// logger.
pub fn init(format: LogFormat, level: LevelFilter) {
    // Not an `EnvFilter`: it takes a lock whenever a span begins, is entered, is left or ends.
    let mut filter = Targets::new().with_default(level);
    if level > LevelFilter::INFO {
        filter = filter.with_targets(HELD);
    }
    if level >= LevelFilter::WARN {
        filter = filter.with_targets([RETURNED_MESSAGES]);
    }
    let logs = fmt::layer()
        .with_writer(BoundedLines::new(writer(), format))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // The error would go to standard error too, and panic if that is gone.
        .log_internal_errors(false);
    let filtered = tracing_subscriber::registry().with(filter);
    let _ = match format {
        LogFormat::Text => filtered.with(logs).try_init(),
        LogFormat::Json => filtered.with(logs.event_format(JsonLine).fmt_fields(JsonMembers)).try_init(),
    };
}

/// Flushes the waiting lines, for about 1 s at most. Call it before the process ends.
pub fn finish() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}
