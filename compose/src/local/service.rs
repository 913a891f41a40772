//! The services: their settings, their start and their stop.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use stack::{
    Setting,
    daemon::{Daemon, Started},
    files,
    process::{Process, Signal},
    wait,
};

use super::{Health, Part, Stack, record::ServiceRecord};

/// The services promise to end within 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);
pub(super) const READY_LIMIT: Duration = Duration::from_secs(60);
pub(super) const POLL: Duration = Duration::from_millis(50);

/// Variables of the caller that are settings of the services. They would change what a service connects to, and a
/// service refuses to start with one that it does not know.
pub(crate) fn inherited_settings() -> Vec<OsString> {
    const ADDRESSES: [&str; 3] = ["DATABASE_URL", "REPLICA_DATABASE_URL", "RABBITMQ_BROKER_URL"];
    let is_setting = |name: &str| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        name.starts_with("PARKING__") || ADDRESSES.contains(&name)
    };
    env::vars_os().map(|(name, _)| name).filter(|name| name.to_str().is_some_and(is_setting)).collect()
}

impl Stack {
    /// The environment of a service.
    pub(crate) fn settings(&self, service: Part) -> Result<Vec<(&'static str, String)>> {
        let value = |setting: &Setting| -> Result<String> {
            Ok(match *setting {
                Setting::Database(part, role) => self.postgres(part)?.url(role, Self::owner(part).1),
                Setting::Broker => self.rabbitmq()?.amqp_url("/"),
                Setting::SigningKey => {
                    let key = self.record.signing_key.as_ref();
                    key.context("there is no signing key yet: `cargo stack up` makes one")?
                        .as_str()
                        .to_owned()
                }
                Setting::Port(port) => self.record.ports.get(port).to_string(),
                Setting::FurtherPort(part) => self.port(part).to_string(),
                Setting::ReplicaName(replica) => replica.replica_name().unwrap_or_default(),
                Setting::LogFormat => "text".to_owned(),
            })
        };
        let settings = self.shape().settings(service);
        settings.iter().map(|(name, setting)| Ok((*name, value(setting)?))).collect()
    }

    /// The service's program with its settings, to run in the foreground.
    pub(crate) fn service_command(&self, service: Part, binary: &Path) -> Result<Command> {
        let mut command = Command::new(binary);
        for name in inherited_settings() {
            command.env_remove(name);
        }
        command.envs(self.settings(service)?);
        Ok(command)
    }

    /// Runs the migrations of a service that its database lacks.
    pub(crate) fn migrate(&self, service: Part, binary: &Path) -> Result<()> {
        let path = self.log(service);
        let log = files::open_log(&path)?;
        let before = log.metadata()?.len();
        let mut migrate = self.service_command(service, binary)?;
        migrate.arg("migrate").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/");
        let status = migrate.status().with_context(|| format!("cannot run {}", binary.display()))?;
        if !status.success() {
            bail!("`{service} migrate` failed ({status}):\n{}", files::log_since(&path, before));
        }
        Ok(())
    }

    /// Starts a service in the background and notes it, without waiting for it.
    pub(crate) fn spawn_service(&mut self, service: Part, binary: &Path) -> Result<Started> {
        let directory = self.home.services();
        fs::create_dir_all(&directory)?;
        let daemon = Daemon::new(binary, &directory, &self.log(service)).without(inherited_settings());
        let daemon = daemon.args(self.shape().arguments(service));
        let settings = self.settings(service)?;
        let daemon = settings.iter().fold(daemon, |daemon, (name, value)| daemon.env(name, value));
        let started = daemon.spawn()?;
        let record = ServiceRecord { binary: binary.to_path_buf(), process: started.process.clone() };
        self.record.services.insert(service, record);
        self.save()?;
        Ok(started)
    }

    /// Waits until a started service answers and, where that is `expected`, is ready.
    pub(crate) fn wait_for_service(&self, service: Part, started: &Started, expected: bool) -> Result<()> {
        let mut last = Health::Silent;
        let ready = wait::until(READY_LIMIT, POLL, || {
            if !started.process.is_alive() {
                bail!("{service} ended while it started:\n{}", started.output());
            }
            last = self.health(service);
            let enough = if expected { last == Health::Ready } else { last != Health::Silent };
            Ok(enough.then_some(()))
        })?;
        ready.with_context(|| match &last {
            Health::Waiting(parts) => {
                format!("{service} is not ready after {READY_LIMIT:?}: it waits for {}", parts.join(", "))
            }
            _ => format!("{service} does not answer after {READY_LIMIT:?}:\n{}", started.output()),
        })
    }

    pub(crate) fn stop_service(&self, service: Part) -> Result<()> {
        self.service_process(service).map_or(Ok(()), |process| process.stop(Signal::TERM, STOP_LIMIT))
    }

    /// The service's process, while it runs.
    pub(crate) fn service_process(&self, service: Part) -> Option<Process> {
        self.record.services.get(&service).map(|record| record.process.clone()).filter(Process::is_alive)
    }

    /// Whether the running service was started from exactly this program.
    pub(crate) fn runs_binary(&self, service: Part, binary: &Path) -> bool {
        let Some(process) = self.service_process(service) else {
            return false;
        };
        let running = format!("/proc/{}/exe", process.pid());
        let identity =
            |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.mtime_nsec()));
        let same_file = identity(Path::new(&running)).is_some_and(|found| Some(found) == identity(binary));
        // A build may have written the same program again. The running one can still be read.
        same_file
            || fs::read(&running).ok().is_some_and(|found| fs::read(binary).is_ok_and(|built| built == found))
    }
}
