//! Prints data on standard output and messages on standard error.

use std::io::{self, Write};

use super::exit::CliError;

/// Prints a line. Unlike `println!`, it does not panic when the reader closes the output, as `head` does.
pub(super) fn print_text(text: &str) -> Result<(), CliError> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write").into())
        }
        _ => Ok(()),
    }
}

/// Prints one line on standard error, and ignores a failure to write it.
pub(super) fn print_message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "event-consumer: {text}");
}
