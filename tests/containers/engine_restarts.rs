//! The end of the engine itself, and its start: what a reboot and an upgrade of the engine do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use system_tests::{
    Client,
    engine::{Daemon, Project},
    eventually,
};

/// From the engine's start to the health of everything.
const BACK_LIMIT: Duration = Duration::from_secs(60);

/// How soon the replica has what was written after that.
const LEVEL_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn everything_comes_back_when_the_engine_is_restarted(project: &mut Project) -> Result<()> {
    back_after(project, Daemon::stop)
}

/// Its containers go on without it, and the engine ends them when it starts again.
pub(crate) fn everything_comes_back_when_the_engine_is_killed(project: &mut Project) -> Result<()> {
    back_after(project, Daemon::kill)
}

fn back_after(project: &mut Project, end: fn(&mut Daemon) -> Result<()>) -> Result<()> {
    let Some(engine) = project.engine.daemon.as_mut() else {
        println!("left out: the engine is not the tests' own, and others may use it");
        return Ok(());
    };
    let began = Instant::now();
    end(engine)?;
    engine.start_again()?;
    project.healthy(BACK_LIMIT).context("not everything came back by itself")?;
    println!("everything is healthy {:.0} s after the end of the engine", began.elapsed().as_secs_f64());
    tokio::runtime::Runtime::new()?.block_on(written_and_level(project))
}

async fn written_and_level(project: &Project) -> Result<()> {
    let client = Client::new(project.address());
    let name = "written after the engine came back";
    let slot = eventually(LEVEL_LIMIT, "a command is taken", async || client.created(name).await).await?;
    eventually(LEVEL_LIMIT, "the replica is level with the primary", async || {
        let everything = project.everything().await?;
        everything.check()?;
        anyhow::ensure!(everything.replica.iter().any(|row| row.uuid == slot.uuid), "{slot:?} is missing");
        Ok(())
    })
    .await
}
