//! Ctrl-C: the first one asks for an orderly stop, the second one kills.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::{Home, Stack};

const INTERRUPTED_EXIT_CODE: i32 = 130;

/// Requests to stop, by Ctrl-C, `kill` or the end of the terminal.
pub(crate) struct Interrupts {
    requested: Arc<AtomicBool>,
    receiver: Receiver<()>,
}

impl Interrupts {
    /// From now on the first request is noted here. A second one kills the stack and ends this process.
    pub(crate) fn watch(home: Home) -> Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let first = Arc::clone(&requested);
        thread::spawn(move || {
            for _ in signals.forever() {
                if first.swap(true, Ordering::SeqCst) {
                    kill(&home);
                    std::process::exit(INTERRUPTED_EXIT_CODE);
                }
                let _ = sender.send(());
            }
        });
        Ok(Self { requested, receiver })
    }

    /// Fails once a stop was requested. Steps are finished; this is called between them.
    pub(crate) fn check(&self) -> Result<()> {
        if self.requested() {
            bail!("interrupted");
        }
        Ok(())
    }

    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Whether a stop was requested within `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        !matches!(self.receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout))
    }
}

/// Does not take the lock: the stop that takes too long may hold it.
fn kill(home: &Home) {
    eprintln!("killing everything");
    let killed = Stack::open(home).and_then(|stack| stack.map_or(Ok(()), |stack| stack.kill_remains()));
    if let Err(error) = killed {
        eprintln!("error: {error:#}");
    }
}
