//! `compose/cqrs.yml` on an engine, as the project of this run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::{Part, Port, Shape, ports, process::Process, wait};

use super::{Engine, checkout, printed, profile};
use crate::service::Address;

/// How soon a container that died is healthy again.
pub const HEALTHY_AGAIN: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(100);

/// The project's name in this run, so that it is told from one that a person has started.
const NAME: &str = "parking-cqrs-test";

/// Services that Compose builds. The engine of the tests forwards nothing, so they are built in the machine's network.
const BUILT: [&str; 10] = [
    "command-service",
    "event-consumer",
    "migrate-primary",
    "migrate-replica",
    "migrate-replica-2",
    "event-consumer-2",
    "command-2",
    "relay",
    "query-1",
    "query-2",
];

/// The project, with ports of its own.
#[derive(Debug)]
pub struct Project {
    /// The engine that it runs on.
    pub engine: Engine,
    /// Where the checkout is, or a copy of it.
    root: PathBuf,
    override_file: PathBuf,
    ports: BTreeMap<Port, u16>,
    /// The bridges of this machine before the project was started.
    pub bridges_before: BTreeSet<String>,
}

impl Project {
    /// The project of the checkout, not started yet.
    ///
    /// # Errors
    /// No port is free, or a former run's containers cannot be removed.
    pub fn new(engine: Engine) -> Result<Self> {
        let mut ports = BTreeMap::new();
        for port in Port::ALL {
            ports.insert(port, ports::free()?);
        }
        let cache = super::cache()?;
        let override_file = cache.join("override.yml");
        let network = |service: &str| format!("  {service}: {{ build: {{ network: host }} }}\n");
        let services: String = BUILT.iter().map(|service| network(service)).collect();
        fs::write(&override_file, format!("services:\n{services}"))?;
        let root = checkout();
        let mut project = Self { engine, root, override_file, ports, bridges_before: BTreeSet::new() };
        project.down()?;
        project.bridges_before = bridges()?;
        Ok(project)
    }

    /// `docker compose` on the project's file, as it stands in `root`.
    #[must_use]
    pub fn compose_in(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut compose = self.engine.docker(&[
            "compose",
            "--ansi",
            "never",
            "--progress",
            "plain",
            "--project-name",
            NAME,
        ]);
        compose.arg("--file").arg(root.join("compose/cqrs.yml")).arg("--file").arg(&self.override_file);
        compose.args(arguments).envs(self.environment());
        compose
    }

    /// Runs `docker compose`, which must end well; what it printed on standard output.
    ///
    /// # Errors
    /// It ended with another status than 0.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        printed(&mut self.compose_in(&self.root, arguments))
    }

    /// `docker compose up --build`, in the background; how it ended and what it printed.
    ///
    /// # Errors
    /// The client cannot be run.
    pub fn build_and_start(&self) -> Result<Output> {
        Ok(self.compose_in(&self.root, &["up", "--build", "--detach"]).output()?)
    }

    /// Starts the profile `scaled` beside what runs already; how that ended and what it printed.
    ///
    /// # Errors
    /// The client cannot be run.
    pub fn start_profile(&self) -> Result<Output> {
        Ok(self.compose_in(&self.root, &["--profile", profile::PROFILE, "up", "--detach"]).output()?)
    }

    /// What a shell needs so that `docker compose -f compose/cqrs.yml` means this project.
    #[must_use]
    pub fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.root).envs(self.environment());
        for (name, value) in self.engine.docker(&[]).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let file = self.root.join("compose/cqrs.yml");
        let files = format!("{}:{}", file.display(), self.override_file.display());
        shell.envs([
            ("COMPOSE_FILE", files.as_str()),
            ("COMPOSE_PROJECT_NAME", NAME),
            ("COMPOSE_ANSI", "never"),
        ]);
        shell
    }

    fn environment(&self) -> impl Iterator<Item = (String, String)> {
        self.ports.iter().map(|(port, value)| (variable(*port), value.to_string()))
    }

    /// Removes the project's containers, networks and volumes, those of the profile too.
    ///
    /// # Errors
    /// Compose fails.
    pub fn down(&self) -> Result<()> {
        let down =
            ["--profile", profile::PROFILE, "down", "--volumes", "--remove-orphans", "--timeout", "20"];
        self.compose(&down).map(drop)
    }

    /// Its containers, networks and volumes, by name.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn objects(&self) -> Result<Vec<String>> {
        let own = format!("label=com.docker.compose.project={NAME}");
        let mut names = Vec::new();
        for list in [
            &["ps", "--all", "--format", "{{.Names}}"][..],
            &["network", "ls", "--format", "{{.Name}}"],
            &["volume", "ls", "--format", "{{.Name}}"],
        ] {
            let listed = self.engine.run(&[list, &["--filter", &own]].concat())?;
            names.extend(listed.lines().map(|name| format!("{} {name}", list[0])));
        }
        Ok(names)
    }

    /// The port on this machine.
    #[must_use]
    pub fn port(&self, port: Port) -> u16 {
        self.ports[&port]
    }

    /// Where command-service listens on this machine.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address_at(Port::Http)
    }

    /// Where HTTP is published as this port.
    #[must_use]
    pub fn address_at(&self, port: Port) -> Address {
        Address::of(format!("http://127.0.0.1:{}", self.port(port)))
    }

    /// What `docker inspect` says of a service's container, also of one that has ended.
    ///
    /// # Errors
    /// There is no such container.
    pub fn inspect(&self, service: &str) -> Result<Value> {
        let container = self.engine.run(&["inspect", &format!("{NAME}-{service}-1")])?;
        let mut found: Vec<Value> = serde_json::from_str(&container)?;
        found.pop().with_context(|| format!("there is no {service}"))
    }

    /// The main process of a service's container, as this machine sees it.
    ///
    /// # Errors
    /// It does not run.
    pub fn main_process(&self, service: &str) -> Result<Process> {
        let pid = self.inspect(service)?["State"]["Pid"].as_i64().context("no process")?;
        Process::of(i32::try_from(pid)?).with_context(|| format!("{service} does not run"))
    }

    /// Waits until every part is healthy; how long that took is for the caller to measure.
    ///
    /// # Errors
    /// One is not within `limit`.
    pub fn healthy(&self, limit: Duration) -> Result<()> {
        let parts: Vec<String> = Shape::default().parts().into_iter().map(Part::name).collect();
        self.healthy_services(&parts, limit)
    }

    /// The same of these services.
    ///
    /// # Errors
    /// One is not within `limit`.
    pub fn healthy_services(&self, services: &[String], limit: Duration) -> Result<()> {
        let mut last = String::new();
        let healthy = wait::until(limit, POLL, || {
            for service in services {
                let state = self.inspect(service)?["State"].clone();
                let is_healthy = state["Running"] == true && state["Health"]["Status"] == "healthy";
                if !is_healthy {
                    last = format!("{service}: {} {}", state["Status"], state["Health"]["Status"]);
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
        healthy.with_context(|| format!("not healthy within {limit:?}: {last}"))
    }

    /// A copy of what a build sends to the engine, with the times of its files, to be changed.
    ///
    /// # Errors
    /// The disk is full.
    pub fn copy_of_sources(&self) -> Result<PathBuf> {
        let copy = super::cache()?.join("checkout");
        let _ = fs::remove_dir_all(&copy);
        fs::create_dir_all(&copy)?;
        let ignored = fs::read_to_string(self.root.join(".dockerignore"))?;
        let mut sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
        sent.extend([".dockerignore", "compose/Dockerfile", "compose/cqrs.yml"]);
        let mut copying = Command::new("cp");
        copying.args(["--archive", "--parents"]).args(sent).arg(&copy).current_dir(&self.root);
        printed(&mut copying)?;
        ensure!(copy.join("event-consumer/src").is_dir(), "this is no copy of the sources");
        Ok(copy)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let has_engine = self.engine.daemon.as_ref().is_none_or(|engine| engine.process().is_some());
        if let Err(error) = has_engine.then(|| self.down()).transpose() {
            eprintln!("the project of the tests is not removed: {error:#}");
        }
    }
}

/// The bridges of this machine.
///
/// # Errors
/// They cannot be listed.
pub fn bridges() -> Result<BTreeSet<String>> {
    let interfaces = fs::read_dir("/sys/class/net")?.flatten();
    let bridges = interfaces.filter(|interface| interface.path().join("bridge").is_dir());
    Ok(bridges.map(|bridge| bridge.file_name().to_string_lossy().into_owned()).collect())
}

/// The variable of `compose/cqrs.yml` that moves a port.
#[must_use]
pub fn variable(port: Port) -> String {
    let flag = port.flag().trim_start_matches('-').to_uppercase().replace('-', "_");
    format!("PARKING_{flag}")
}
