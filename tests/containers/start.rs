//! From nothing to a running project.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use system_tests::{cargo_stack::said, engine::Project};

/// From the last built image to health: initialising the databases, and the broker's start.
const START_LIMIT: Duration = Duration::from_secs(120);

/// What a build may send to the engine: the sources, and nothing that is built.
const CONTEXT_MAX_BYTES: f64 = 5e6;

/// Builds the images and starts the project, as the second command of the README does.
pub(crate) fn start(project: &mut Project) -> Result<()> {
    let began = Instant::now();
    let built = project.build_and_start()?;
    println!("`up --build` returned after {:.0} s", began.elapsed().as_secs_f64());
    ensure!(built.status.success(), "docker compose up --build: {}", said(&built));
    let log = String::from_utf8_lossy(&built.stderr).into_owned() + &String::from_utf8_lossy(&built.stdout);
    let largest = largest_context(&log).context("the build sent nothing")?;
    println!("the build sent {:.2} MB to the engine", largest / 1e6);
    ensure!(largest < CONTEXT_MAX_BYTES, "the build sent {largest} bytes to the engine");
    project.healthy(START_LIMIT)
}

pub(crate) fn the_project_starts_with_one_command(project: &mut Project) -> Result<()> {
    project.healthy(START_LIMIT)?;
    for migration in ["migrate-primary", "migrate-replica"] {
        let state = project.inspect(migration)?["State"].clone();
        assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &0.into()), "{migration}");
    }
    let logs = project.compose(&["logs", "--no-log-prefix", "event-consumer"])?;
    assert!(logs.contains("Event consumer for parking slot replication is running..."), "{logs}");
    Ok(())
}

/// The bytes of the largest context in a build's plain output: `transferring context: 2.22MB 0.1s done`.
fn largest_context(log: &str) -> Option<f64> {
    let sent = log.lines().filter_map(|line| line.split_once("transferring context: "));
    let bytes = sent.filter_map(|(_, rest)| {
        let size = rest.split_whitespace().next()?;
        let digits = size.trim_end_matches(|one: char| one.is_ascii_alphabetic());
        let unit = match &size[digits.len()..] {
            "B" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            _ => return None,
        };
        Some(digits.parse::<f64>().ok()? * unit)
    });
    bytes.reduce(f64::max)
}
