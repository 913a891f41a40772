//! The commands of `cargo stack`, as somebody at a shell sees them. The tour has tests of its own.

pub(crate) mod own_stack;
mod launcher;
mod ports;
mod addresses;
mod waiting;
mod programs;
mod servers;

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};

/// Copies a program by another process. A test that starts a process at the same time would hand the open copy down to
/// it, and a file that is open for writing cannot be run.
fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--preserve=mode").args([from, to]).status()?;
    ensure!(copied.success(), "cannot copy {}", from.display());
    Ok(())
}
