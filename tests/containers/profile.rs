//! The profile `scaled`, started beside the project that runs already.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use stack::{Part, Port, Shape, files};
use system_tests::{
    Client,
    cargo_stack::said,
    engine::{
        Project,
        profile::{self, MIGRATION, PROFILE},
    },
};

use crate::rights::{check_container, check_process};

/// From the command to health: the second replica is new, and its consumer fills it.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How many reads there are between two looks at the logs, and how many looks.
const READS: usize = 20;
const LOOKS: usize = 10;

pub(crate) fn the_profile_starts_beside_the_running_project(project: &mut Project) -> Result<()> {
    let before = containers(project)?;
    let began = Instant::now();

    let started = project.start_profile()?;

    ensure!(started.status.success(), "--profile {PROFILE} up: {}", said(&started));
    healthy(project, START_LIMIT)?;
    println!("everything of the profile is healthy after {:.0} s", began.elapsed().as_secs_f64());
    assert_eq!(containers(project)?, before, "a server of the base project was replaced");
    let state = project.inspect(MIGRATION)?["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &0.into()), "{MIGRATION}");
    check_container(project, MIGRATION)?;
    for service in profile::services() {
        check_container(project, &service)?;
        check_process(project, &service)?;
    }
    let touch = ["--profile", PROFILE, "exec", "-T", "gateway", "touch", "/usr/local/bin/written"];
    ensure!(project.compose(&touch).is_err(), "the gateway writes into its own image");
    Ok(())
}

/// Waits until every service, of the profile too, is healthy.
pub(crate) fn healthy(project: &Project, limit: Duration) -> Result<()> {
    let base = Shape::default().parts().into_iter().map(Part::name);
    let services: Vec<String> = base.chain(profile::services()).collect();
    project.healthy_services(&services, limit)
}

/// The containers of the base project's servers. Compose replaces a service whose image was built again since its start.
fn containers(project: &Project) -> Result<Vec<String>> {
    let id = |part: Part| {
        let container = project.inspect(&part.name())?;
        Ok(container["Id"].as_str().context("no id")?.to_owned())
    };
    Shape::default().servers().into_iter().map(id).collect()
}

pub(crate) fn reads_through_the_gateway_come_from_both_query_processes(project: &mut Project) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let gateway = Client::new(project.address_at(Port::Gateway));
        let created = gateway.create("created through the gateway").await?.expect(201)?;
        let receipt = created.header("Write-Receipt").context("no receipt")?;
        let uuid = created.body["uuid"].as_str().context("no uuid")?;
        let path = format!("/parking-slots/{uuid}?receipt={receipt}");
        let mut ids = Vec::new();
        for _ in 0..LOOKS {
            for _ in 0..READS {
                let id = files::random_hex(8)?;
                let headers = [("X-Request-Id", id.as_str())];
                let read = gateway.call_with(Method::GET, &path, &headers).await?.expect(200)?;
                ensure!(read.body == created.body, "{} was created, and {} is read", created.text, read.text);
                ensure!(read.header("Freshness-Result") == Some("satisfied"), "{:?}", read.headers);
                ids.push(id);
            }
            ensure!(!answered(project, "command-service", &ids)?, "a read went to command-service");
            if answered(project, "query-1", &ids)? && answered(project, "query-2", &ids)? {
                return Ok(());
            }
        }
        anyhow::bail!("one query process has answered none of {} reads", ids.len())
    })
}

/// Whether the log of a service has one of these requests.
pub(crate) fn answered(project: &Project, service: &str, ids: &[String]) -> Result<bool> {
    let log = project.compose(&["--profile", PROFILE, "logs", "--no-log-prefix", service])?;
    Ok(ids.iter().any(|id| log.contains(id)))
}
