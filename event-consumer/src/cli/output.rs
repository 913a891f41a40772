//! Data on standard output.

use std::io::{self, Write};

use super::exit::CliError;

/// Unlike `println!`, does not panic when who reads the output has seen enough, as `head` does.
pub(super) fn print_text(text: &str) -> Result<(), CliError> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write").into())
        }
        _ => Ok(()),
    }
}
