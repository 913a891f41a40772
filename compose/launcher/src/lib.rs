//! What a build says: nothing when all is up to date, else that it compiles or waits. On a terminal it shows cargo's
//! own progress too.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    process::{Command, Output, Stdio},
    thread,
};

/// Said once, before the first crate is compiled.
pub const COMPILING: &str = "compiling (the first time takes some minutes)";

/// Said whenever another cargo holds a lock that this build needs.
pub const WAITING: &str = "waiting for another cargo";

/// Taken when the terminal does not tell its width.
const USUAL_COLUMNS: &str = "80";

/// Runs a `cargo build` to its end. Its messages go to standard error; what it prints on standard output is returned.
///
/// # Errors
/// Cargo cannot be run.
pub fn build(cargo: &mut Command) -> io::Result<Output> {
    let is_terminal = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
    if is_terminal {
        ask_for_progress(cargo);
    }
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let messages = child.stderr.take();
    thread::scope(|scope| {
        let relay = scope.spawn(|| {
            messages.map_or(Ok(()), |messages| Relay::new(io::stderr(), is_terminal).relay_all(messages))
        });
        let output = child.wait_with_output()?;
        relay.join().map_err(|_| io::Error::other("the relay of cargo's messages panicked"))??;
        Ok(output)
    })
}

/// Cargo writes to a pipe here, where it shows neither progress nor colours unless it is told to.
fn ask_for_progress(cargo: &mut Command) {
    let wishes = [
        ("CARGO_TERM_PROGRESS_WHEN", "always".to_owned()),
        ("CARGO_TERM_PROGRESS_WIDTH", columns().unwrap_or_else(|| USUAL_COLUMNS.to_owned())),
    ];
    for (name, value) in wishes.into_iter().filter(|(name, _)| env::var_os(name).is_none()) {
        cargo.env(name, value);
    }
    if env::var_os("NO_COLOR").is_none() && env::var_os("CARGO_TERM_COLOR").is_none() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
}

/// `stty` prints rows and columns. The standard library cannot ask a terminal for them.
fn columns() -> Option<String> {
    let size = Command::new("stty").arg("size").stdin(File::open("/dev/tty").ok()?).output().ok()?;
    let size = String::from_utf8(size.stdout).ok()?;
    size.split_whitespace().nth(1).filter(|columns| *columns != "0").map(str::to_owned)
}

/// Passes on what cargo says. Replaces its words for compiling and for waiting by plain sentences.
struct Relay<W> {
    out: W,
    shows_progress: bool,
    has_said_compiling: bool,
    /// Whether the progress bar may stand on the current line.
    has_shown_progress: bool,
}

impl<W: Write> Relay<W> {
    fn new(out: W, shows_progress: bool) -> Self {
        Self { out, shows_progress, has_said_compiling: false, has_shown_progress: false }
    }

    fn relay_all(mut self, mut messages: impl Read) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let mut message = Vec::new();
        loop {
            let count = messages.read(&mut buffer)?;
            if count == 0 {
                return self.relay(&message);
            }
            for byte in &buffer[..count] {
                message.push(*byte);
                // A return ends a state of the progress bar, which the next one overwrites.
                if matches!(byte, b'\n' | b'\r') {
                    self.relay(&message)?;
                    message.clear();
                }
            }
        }
    }

    fn relay(&mut self, message: &[u8]) -> io::Result<()> {
        let text = without_escapes(&String::from_utf8_lossy(message));
        match status_word(&text) {
            Some("Downloading" | "Compiling") => self.relay_compiling(message)?,
            Some("Blocking") => self.say(WAITING)?,
            // What is up to date needs no message, only the end of the progress bar.
            Some("Finished") => self.erase_progress()?,
            Some(_) => self.pass_on_progress(message)?,
            None => self.out.write_all(message)?,
        }
        self.out.flush()
    }

    fn relay_compiling(&mut self, message: &[u8]) -> io::Result<()> {
        if !self.has_said_compiling {
            self.has_said_compiling = true;
            self.say(COMPILING)?;
        }
        self.pass_on_progress(message)
    }

    fn pass_on_progress(&mut self, message: &[u8]) -> io::Result<()> {
        self.has_shown_progress |= self.shows_progress;
        if self.shows_progress { self.out.write_all(message) } else { Ok(()) }
    }

    fn erase_progress(&mut self) -> io::Result<()> {
        if self.has_shown_progress { self.out.write_all(ERASE_LINE) } else { Ok(()) }
    }

    fn say(&mut self, sentence: &str) -> io::Result<()> {
        self.erase_progress()?;
        writeln!(self.out, "{sentence}")
    }
}

const ERASE_LINE: &[u8] = b"\r\x1b[K";

/// The word with which cargo says what it does: right-aligned to twelve columns. Warnings and errors have none.
fn status_word(text: &str) -> Option<&str> {
    const COLUMNS: usize = 12;
    let word = text.split_whitespace().next()?;
    let indent = text.len() - text.trim_start_matches(' ').len();
    let is_word = word.starts_with(|first: char| first.is_ascii_uppercase());
    (is_word && indent + word.len() == COLUMNS).then_some(word)
}

/// The text without the sequences that colour it or erase lines: `ESC [`, parameters, one letter.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.trim_start_matches('\r');
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.find(|end: char| end.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(messages: &str, shows_progress: bool) -> String {
        let mut shown = Vec::new();
        Relay::new(&mut shown, shows_progress).relay_all(messages.as_bytes()).expect("a relay");
        String::from_utf8(shown).expect("text")
    }

    #[test]
    fn messages_of_cargo_become_sentences() {
        let (compiling, waiting) = (format!("{COMPILING}\n"), format!("{WAITING}\n"));
        for (messages, expected, reason) in [
            ("    Finished `dev` profile in 0.1s\n", String::new(), "all is up to date"),
            ("   Compiling a v1\n   Compiling b v1\n", compiling.clone(), "said once"),
            ("    Blocking waiting for file lock\n", waiting, "another cargo builds"),
            ("    Updating crates.io index\n  Downloaded a v1\n", String::new(), "progress"),
            (" Downloading crates ...\n", compiling.clone(), "it is about to compile"),
            ("warning: odd\n   --> a.rs\n", "warning: odd\n   --> a.rs\n".to_owned(), "for the reader"),
            ("\x1b[1m\x1b[92m   Compiling\x1b[0m a v1\n", compiling, "in colour"),
        ] {
            assert_eq!(relayed(messages, false), expected, "{reason}");
        }
    }

    #[test]
    fn a_terminal_shows_the_progress_too() {
        let bar = "    Building [=> ] 1/2: a\r";
        let messages = format!("   Compiling a v1\n{bar}\r\x1b[K    Finished in 1s\n");

        let shown = relayed(&messages, true);
        let up_to_date = relayed("    Finished in 0.1s\n", true);

        assert_eq!(shown, format!("{COMPILING}\n   Compiling a v1\n{bar}\r\r\x1b[K"));
        assert_eq!(up_to_date, "", "there is nothing to erase");
    }
}
