//! Data on standard output, and messages on standard error.

use std::io::{self, Write};

use super::exit::CliError;

/// Unlike `println!`, does not panic when the reader of the output closes it, as `head` does.
pub(super) fn print_text(text: &str) -> Result<(), CliError> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write").into())
        }
        _ => Ok(()),
    }
}

/// One line on standard error. A message that nobody reads costs nothing but itself.
pub(super) fn print_message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "event-consumer: {text}");
}
