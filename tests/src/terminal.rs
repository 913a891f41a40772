//! A program that runs on a terminal.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::cargo_stack::said;

/// Runs a line of a shell on a terminal of this width, without input; what appears there, line ends as `\n`. `prepare`
/// may change its environment.
///
/// # Errors
/// It ended with another status than 0.
pub fn on_terminal(columns: u16, line: &str, prepare: impl FnOnce(&mut Command)) -> Result<String> {
    let line = format!("stty cols {columns} rows 50; {line}");
    // `script` belongs to every Debian: it opens a terminal and runs the line on it.
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    script.env("TERM", "xterm").env_remove("NO_COLOR");
    prepare(&mut script);
    let output = script.output()?;
    ensure!(output.status.success(), "`{line}` on a terminal: {}", said(&output));
    Ok(String::from_utf8(output.stdout)?.replace("\r\n", "\n"))
}
