//! What the figures were taken on.

use std::{fs, process::Command, thread};

use anyhow::Result;
use system_tests::servers::servers;

/// Prints machine, versions and commit, which belong to every figure.
///
/// # Errors
/// The servers do not start.
pub(crate) fn describe() -> Result<()> {
    let cores = thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().trim_start_matches("MemTotal:").trim();
    let postgres = servers()?.primary().execute("postgres", "SHOW server_version")?;
    println!(
        "{cores} cores, {memory}; PostgreSQL {postgres}; {}; commit {}",
        said(&["rustc", "--version"]),
        commit()
    );
    Ok(())
}

fn commit() -> String {
    let changed = if said(&["git", "status", "--porcelain"]).is_empty() { "" } else { ", with changes" };
    format!("{}{changed}", said(&["git", "rev-parse", "--short", "HEAD"]))
}

/// What a program prints; nothing if it cannot be run.
fn said(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
