//! When the tour goes on: at once, or when the reader at a terminal presses Enter. It also notes a Ctrl-C.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use anyhow::{Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

const INTERRUPTED_EXIT_CODE: i32 = 130;

/// What ends a pause.
enum Event {
    Enter,
    EndOfInput,
    Interrupt,
}

/// The pace of a tour.
pub(super) struct Pace {
    events: Receiver<Event>,
    interrupted: Arc<AtomicBool>,
    pauses: bool,
}

impl Pace {
    /// From now on the first Ctrl-C is noted here, so that the tour can clear up. A second one ends it at once.
    pub(super) fn watch(yes: bool) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let interrupted = Arc::new(AtomicBool::new(false));
        watch_signals(sender.clone(), Arc::clone(&interrupted))?;
        let pauses = !yes && io::stdin().is_terminal() && io::stdout().is_terminal();
        if pauses {
            thread::spawn(move || read_lines(&sender));
        }
        Ok(Self { events, interrupted, pauses })
    }

    /// On a terminal, asks this and waits for Enter.
    pub(super) fn pause(&mut self, question: &str) -> Result<()> {
        if self.pauses {
            print!("\n{question} ");
            io::stdout().flush()?;
            self.pauses = !matches!(self.events.recv(), Ok(Event::EndOfInput));
        }
        self.check()
    }

    /// Fails once the tour was interrupted.
    pub(super) fn check(&self) -> Result<()> {
        if self.interrupted() {
            bail!("interrupted");
        }
        Ok(())
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

fn watch_signals(sender: Sender<Event>, interrupted: Arc<AtomicBool>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if interrupted.swap(true, Ordering::SeqCst) {
                eprintln!("ended at once: slots of the tour may be left, and event-consumer be stopped");
                std::process::exit(INTERRUPTED_EXIT_CODE);
            }
            let _ = sender.send(Event::Interrupt);
        }
    });
    Ok(())
}

fn read_lines(sender: &Sender<Event>) {
    let mut line = String::new();
    while io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        let _ = sender.send(Event::Enter);
    }
    let _ = sender.send(Event::EndOfInput);
}
