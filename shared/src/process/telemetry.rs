//! Logs on standard error.

use std::io::{self, IsTerminal};

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

/// Starts logging in this format and at this level. To be called once, first thing in `main`.
pub fn init(format: LogFormat, level: LevelFilter) {
    let mut filter = EnvFilter::new(level.to_string());
    let held = HELD_AT_INFO.iter().filter(|_| level > LevelFilter::INFO);
    for directive in held.filter_map(|directive| directive.parse().ok()) {
        filter = filter.add_directive(directive);
    }
    let logs = fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
