//! Load by pgbench: what plain SQL reaches on the same servers.

use std::{ffi::OsString, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use stack::Role;
use system_tests::{database::Database, servers::servers};

/// pgbench takes 128 at most.
pub(crate) const SCRIPTS_MAX: usize = 100;

/// Statements, with how often each comes.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    scripts: Vec<(String, usize)>,
    clients: usize,
}

impl Scripts {
    /// Statements sent by this many clients.
    pub(crate) fn over(clients: usize) -> Self {
        Self { scripts: Vec::new(), clients }
    }

    /// Adds a script.
    pub(crate) fn and(mut self, script: impl Into<String>, weight: usize) -> Self {
        self.scripts.push((script.into(), weight));
        self
    }

    /// Runs the scripts for this long, as `role`; returns transactions a second.
    ///
    /// # Errors
    /// A transaction that failed.
    pub(crate) async fn run(&self, database: &Database, role: Role, time: Duration) -> Result<f64> {
        let directory = servers()?.new_directory("pgbench")?;
        let mut arguments = ["--no-vacuum", "--protocol=prepared", "--jobs=1"].map(OsString::from).to_vec();
        arguments.push(format!("--client={}", self.clients).into());
        arguments.push(format!("--time={}", time.as_secs().max(1)).into());
        for (number, (script, weight)) in self.scripts.iter().enumerate() {
            let path = directory.join(format!("{number}.sql"));
            fs::write(&path, script)?;
            arguments.push(format!("--file={}@{weight}", path.display()).into());
        }
        let mut pgbench = database.server.client("pgbench", role, &database.name, arguments);
        let output = tokio::task::spawn_blocking(move || pgbench.output()).await?;
        let output = output.context("cannot run pgbench: install postgresql-contrib")?;
        fs::remove_dir_all(&directory)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {errors}");
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.with_context(|| format!("pgbench printed no rate: {text}"))
    }
}
