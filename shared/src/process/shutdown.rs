//! The end of a service: a signal requests it, one token passes it on, and a time limit enforces it.

use std::{process, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::telemetry;

/// How long a process may take from the first signal to its end. After that the process exits, whatever still
/// hangs. A supervisor that waits 20 s, as `docker stop` does here, would kill it without a log line.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(18);

/// Returns a token that the first SIGTERM or SIGINT cancels. A second signal ends the process at once, and so
/// does [`SHUTDOWN_MAX`]; the exit status is 1 then.
///
/// # Errors
/// The process cannot install signal handlers.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signals.next().await;
        // The token comes first: nothing that happens to a log line may keep the process from ending.
        cancelled.cancel();
        tracing::info!("shutting down");
        tokio::select! {
            () = signals.next() => tracing::warn!("a second signal: the process ends at once"),
            () = sleep(SHUTDOWN_MAX) => {
                tracing::error!(after_s = SHUTDOWN_MAX.as_secs(), "the shutdown hangs: the process ends now");
            }
        }
        telemetry::finish();
        process::exit(1);
    });
    Ok(token)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
