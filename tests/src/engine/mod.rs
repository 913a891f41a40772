//! A Docker engine of the tests' own, the base images that it needs, and the Compose project on it.
//!
//! | module | holds |
//! |---|---|
//! | [`demand`] | whether this run has to have an engine |
//! | [`prerequisites`] | the packages of the engine, and Docker Compose |
//! | `addresses` | networks that this machine has no route to |
//! | `traces` | what an engine leaves when it is killed |
//! | [`daemon`] | the private engine: started, killed, stopped |
//! | [`stand_ins`] | images made here under the names of public ones |
//! | [`profile`] | what its profile `scaled` adds to the project |
//! | [`project`] | `compose/cqrs.yml` on that engine |
//! | `databases` | what its databases hold |
//!
//! The engine has its own data, socket, bridges and addresses. It changes no rule of the machine's firewall.

pub mod demand;
pub mod prerequisites;
mod addresses;
mod traces;
pub mod daemon;
pub mod stand_ins;
pub mod profile;
pub mod project;
mod databases;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

pub use self::{daemon::Daemon, demand::Demand, project::Project};

/// Much more than the crates, the compiled dependencies and the packages of the base images take.
const KEPT_BUILD_CACHE: &str = "8GB";

/// An engine, and the client that talks to it.
#[derive(Debug)]
pub struct Engine {
    /// The private engine; none when an engine of the machine is used.
    pub daemon: Option<Daemon>,
    /// The client's own configuration, with Docker Compose as its plugin.
    configuration: PathBuf,
}

impl Engine {
    /// The engine of this machine where one answers, else a private one with the images that it needs.
    ///
    /// # Errors
    /// A package cannot be installed, the engine does not start, or an image cannot be made.
    pub fn start() -> Result<Self> {
        let cache = cache()?;
        if answers(&mut Command::new("docker")) {
            let configuration = prerequisites::compose_plugin(&cache)?;
            return Ok(Self { daemon: None, configuration });
        }
        prerequisites::install()?;
        let configuration = prerequisites::compose_plugin(&cache)?;
        let engine = Self { daemon: Some(Daemon::start(&cache)?), configuration };
        stand_ins::make(&engine, &cache)?;
        // What former runs left: images that have lost their names, and more build cache than a run needs.
        engine.run(&["image", "prune", "--force"])?;
        engine.run(&["builder", "prune", "--force", "--keep-storage", KEPT_BUILD_CACHE])?;
        Ok(engine)
    }

    /// The client with these arguments, and nothing of the caller's own configuration.
    #[must_use]
    pub fn docker(&self, arguments: &[&str]) -> Command {
        let mut docker = client(self.daemon.as_ref().map(Daemon::host).as_deref());
        docker.env("DOCKER_CONFIG", &self.configuration).args(arguments).stdin(Stdio::null());
        docker
    }

    /// Runs the client, which must end well; what it printed on standard output.
    ///
    /// # Errors
    /// It ended with another status than 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        printed(&mut self.docker(arguments))
    }
}

/// The client, told nothing by the caller's environment but which engine to use.
fn client(host: Option<&str>) -> Command {
    let mut docker = Command::new("docker");
    for (name, _) in std::env::vars_os() {
        let own =
            name.to_str().is_some_and(|name| name.starts_with("DOCKER_") || name.starts_with("COMPOSE_"));
        if own && (host.is_some() || name != "DOCKER_HOST") {
            docker.env_remove(name);
        }
    }
    if let Some(host) = host {
        docker.env("DOCKER_HOST", host);
    }
    docker
}

fn answers(docker: &mut Command) -> bool {
    let version = docker.args(["version", "--format", "{{.Server.Version}}"]).stdin(Stdio::null()).output();
    version.is_ok_and(|version| version.status.success())
}

/// Runs a program, which must end well; what it printed on standard output.
///
/// # Errors
/// It cannot be run, or it ended with another status than 0.
pub fn printed(command: &mut Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let said = crate::cargo_stack::said(&output);
    ensure!(output.status.success(), "{} {:?}: {said}", command.get_program().display(), command.get_args());
    Ok(String::from_utf8(output.stdout)?)
}

/// What a run keeps for the next one: the engine's images and build cache, and Docker Compose.
fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|base| Path::new(base).is_absolute()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let cache = base.join("parking-cqrs/engine");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    Ok(cache)
}

/// The root of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
