//! Load by `wrk`: connections that send the next request as soon as the last one is answered.

use std::{fmt::Write, fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use system_tests::{Pair, servers::servers};

const PROGRAM: &str = "wrk";

/// The random order of requests, and what is printed at the end.
const SCRIPT: &str = include_str!("requests.lua");

/// What a load sends.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    requests: String,
    connections: usize,
}

/// What came of a stretch of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) per_sec: f64,
    /// Half of the answers take no longer, in milliseconds.
    pub(crate) p50: f64,
    /// 99 % of the answers take no longer, in milliseconds.
    pub(crate) p99: f64,
}

#[derive(Deserialize)]
struct Printed {
    answers: f64,
    micros: f64,
    failures: u64,
    p50: f64,
    p99: f64,
}

impl Load {
    /// A load over this many connections.
    pub(crate) fn over(connections: usize) -> Self {
        Self { requests: String::new(), connections }
    }

    /// Adds a read.
    pub(crate) fn get(mut self, path: &str) -> Self {
        let _ = writeln!(self.requests, "GET\t{path}");
        self
    }

    /// Adds many reads.
    pub(crate) fn gets(self, paths: impl IntoIterator<Item = String>) -> Self {
        paths.into_iter().fold(self, |load, path| load.get(&path))
    }

    /// Adds a command with a JSON body.
    pub(crate) fn command(mut self, method: &str, path: &str, body: &str) -> Self {
        let _ = writeln!(self.requests, "{method}\t{path}\t{body}");
        self
    }

    /// Runs the load for this long.
    ///
    /// # Errors
    /// An answer that is no success.
    pub(crate) async fn run(&self, pair: &Pair, time: Duration) -> Result<Answers> {
        let directory = servers()?.new_directory("load")?;
        let (script, requests) = (directory.join("requests.lua"), directory.join("requests"));
        fs::write(&script, SCRIPT)?;
        fs::write(&requests, &self.requests)?;
        let mut wrk = Command::new(PROGRAM);
        wrk.arg("--threads=1").arg(format!("--connections={}", self.connections));
        wrk.arg(format!("--duration={}s", time.as_secs().max(1))).arg("--timeout=10s").arg("--latency");
        wrk.arg("--script").arg(&script).arg(pair.command_service().address().get()).arg("--").arg(&requests);
        let output = tokio::task::spawn_blocking(move || wrk.output()).await?;
        let output = output.with_context(|| format!("cannot run {PROGRAM}: install it"))?;
        fs::remove_dir_all(&directory)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().rev().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        let printed: Printed = serde_json::from_str(line)?;
        ensure!(printed.failures == 0, "{} of {} answers failed", printed.failures, printed.answers);
        Ok(Answers {
            per_sec: printed.answers / printed.micros * 1e6,
            p50: printed.p50 / 1e3,
            p99: printed.p99 / 1e3,
        })
    }
}
