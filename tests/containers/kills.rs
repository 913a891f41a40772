//! kill -9 of the main process of each container while clients write.
//!
//! The signal comes from this machine, as that of the kernel's out-of-memory killer does. `docker kill` would not do:
//! an engine takes it for a stop by hand, after which it does not start the container again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use stack::{Part, Shape, process::Signal, wait};
use system_tests::{
    Client,
    engine::{Project, project::HEALTHY_AGAIN},
    eventually,
    load::{History, Load, MIXED},
    random::seed,
};

const CLIENTS: usize = 4;
const COMMANDS_BETWEEN_KILLS: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);
const POLL: Duration = Duration::from_millis(50);

/// How soon the replica has everything after the last container is back.
const LEVEL_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn a_container_killed_under_load_comes_back_and_loses_nothing(
    project: &mut Project,
) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let before = project.everything().await?.events.len();
        let load = Load::start_paced(&[Client::new(project.address())], CLIENTS, MIXED, seed(), PAUSE);
        for part in Shape::default().parts() {
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            let took = kill_and_wait(project, part)?;
            println!("{part} is healthy {:.1} s after kill -9", took.as_secs_f64());
        }
        load.progress(COMMANDS_BETWEEN_KILLS).await?;
        let history = load.finish().await?;
        ensure!(history.acknowledged() >= COMMANDS_BETWEEN_KILLS * 6, "hardly anything was written");
        level(project, before, &history).await
    })
}

/// kill -9 of a part's main process; how soon every part without the profile is healthy again.
pub(crate) fn kill_and_wait(project: &Project, part: Part) -> Result<Duration> {
    let (process, restarts) = (project.main_process(&part.name())?, restarts(project, part)?);
    let began = Instant::now();
    ensure!(process.signal(Signal::KILL)?, "{part} had ended before it was killed");
    let back =
        wait::until(HEALTHY_AGAIN, POLL, || Ok((self::restarts(project, part)? > restarts).then_some(())))?;
    back.with_context(|| format!("{part} was not started again"))?;
    project.healthy(HEALTHY_AGAIN.saturating_sub(began.elapsed()))?;
    Ok(began.elapsed())
}

fn restarts(project: &Project, part: Part) -> Result<i64> {
    project.inspect(&part.name())?["RestartCount"].as_i64().context("no count of restarts")
}

/// Both sides agree, and the log has exactly what the clients were told.
async fn level(project: &Project, before: usize, history: &History) -> Result<()> {
    eventually(LEVEL_LIMIT, "the replica is level with the primary", async || {
        let everything = project.everything().await?;
        everything.check()?;
        history.check(everything.events.get(before..).context("the log has become shorter")?)
    })
    .await
}
