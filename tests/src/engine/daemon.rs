//! A private `dockerd`: its own data, socket, bridges and addresses, and nothing of the machine's firewall.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use stack::{
    files,
    process::{Process, Signal},
    wait,
};

use super::{addresses, traces::Traces};

/// From the start to the first answer, with containers to start again.
const START_LIMIT: Duration = Duration::from_secs(60);

/// From the request to stop to the end: each container has up to 20 s, and they stop side by side.
const STOP_LIMIT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(50);

/// How much of the log an error shows.
const TAIL_BYTES: i64 = 4096;

/// The parent of its control groups, which tells them from those of any other engine.
const CONTROL_GROUP: &str = "parking-cqrs-engine";

/// Networks of this size are cut from the pool, one for each Compose project.
const NETWORK_BITS: u8 = 24;

/// Starts a program, and stops it when standard input ends: when the tests stop it, and when they are killed.
const GUARD: &str = "\"$@\" & program=$!; cat >/dev/null; kill -TERM $program 2>/dev/null; wait $program";

/// A private engine. Dropping it stops it, with every container.
#[derive(Debug)]
pub struct Daemon {
    data: PathBuf,
    run: PathBuf,
    log: PathBuf,
    /// The addresses of its networks.
    pool: String,
    // Containers belong to it, so they live on when the engine is killed.
    containerd: Option<Running>,
    engine: Option<Running>,
    // Two runs cannot share the data.
    _alone: File,
}

/// A program with its guard.
#[derive(Debug)]
struct Running {
    guard: Child,
    input: ChildStdin,
}

impl Running {
    fn start(program: &str, arguments: &[String], log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut guard = Command::new("setsid");
        guard.args(["--wait", "sh", "-c", GUARD, "guard", program]).args(arguments).current_dir("/");
        guard.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut guard = guard.spawn().with_context(|| format!("cannot run {program}"))?;
        let input = guard.stdin.take().context("no standard input")?;
        Ok(Self { guard, input })
    }

    fn stop(mut self) -> Result<()> {
        drop(self.input);
        let ended = wait::until(STOP_LIMIT, POLL, || Ok(self.guard.try_wait()?))?;
        ended.map(drop).context("it does not end")
    }
}

impl Daemon {
    /// Starts an engine on the data in `cache`.
    ///
    /// # Errors
    /// It does not start; the error shows its log.
    pub fn start(cache: &Path) -> Result<Self> {
        let alone = files::lock(&cache.join("lock"))?;
        // A socket's path is short, so it cannot be in the cache.
        let run = PathBuf::from(format!("/run/parking-cqrs-engine-{}", rustix::process::getuid().as_raw()));
        let (data, log) = (cache.join("data"), cache.join("engine.log"));
        let _ = fs::remove_file(&log);
        let pool = addresses::free_pool(&fs::read_to_string("/proc/net/route")?)?;
        let mut daemon = Self { data, run, log, pool, containerd: None, engine: None, _alone: alone };
        // A run that was killed together with its guards leaves an engine. This run has the lock, so nobody uses it.
        daemon.remove()?;
        fs::create_dir_all(&daemon.run)?;
        fs::create_dir_all(&daemon.data)?;
        fs::write(daemon.run.join("daemon.json"), "{}")?;
        fs::write(daemon.run.join("containerd.toml"), daemon.containerd_settings())?;
        let settings = format!("--config={}", daemon.run.join("containerd.toml").display());
        daemon.containerd = Some(Running::start("containerd", &[settings], &daemon.log)?);
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Starts it after [`Self::stop`] or [`Self::kill`].
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn start_again(&mut self) -> Result<()> {
        if self.process().is_none() {
            // After a kill it names a process that may be another by now.
            let _ = fs::remove_file(self.run.join("pid"));
        }
        self.engine = Some(Running::start("dockerd", &self.arguments(), &self.log)?);
        let answered = wait::until(START_LIMIT, POLL, || {
            Ok(super::answers(&mut super::client(Some(&self.host()))).then_some(()))
        })?;
        answered
            .with_context(|| format!("the engine does not answer; its log ends with:\n{}", self.log_tail()))
    }

    /// Without what Docker does not use, and with sockets of its own.
    fn containerd_settings(&self) -> String {
        let socket = self.run.join("containerd.sock");
        format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}.ttrpc\"\n",
            self.data.join("containerd-own").display(),
            self.run.join("containerd").display(),
            socket.display(),
            socket.display(),
        )
    }

    /// Without a default bridge, and without any rule of the firewall: containers reach each other on the bridge of
    /// their project, a published port is forwarded by a process, and a build uses the machine's own network.
    fn arguments(&self) -> Vec<String> {
        let at = |name: &str| self.run.join(name).display().to_string();
        let named = [
            ("config-file", at("daemon.json")),
            ("data-root", self.data.display().to_string()),
            ("exec-root", at("exec")),
            ("pidfile", at("pid")),
            ("host", self.host()),
            ("containerd", at("containerd.sock")),
            ("containerd-namespace", CONTROL_GROUP.to_owned()),
            ("containerd-plugins-namespace", format!("{CONTROL_GROUP}-plugins")),
            ("cgroup-parent", format!("/{CONTROL_GROUP}")),
            ("exec-opt", "native.cgroupdriver=cgroupfs".to_owned()),
            ("bridge", "none".to_owned()),
            ("iptables", "false".to_owned()),
            ("ip6tables", "false".to_owned()),
            ("ip-masq", "false".to_owned()),
            ("ip-forward", "false".to_owned()),
            ("default-address-pool", format!("base={},size={NETWORK_BITS}", self.pool)),
        ];
        named.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }

    /// The address of its socket.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.run.join("socket").display())
    }

    /// Asks it to end, as a shutdown of the machine does: it stops its containers first.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        let Some(engine) = self.engine.take() else { return Ok(()) };
        engine.stop().with_context(|| format!("the engine; its log ends with:\n{}", self.log_tail()))
    }

    /// kill -9 of the engine: its containers go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        let engine = self.process().context("the engine does not run")?;
        engine.signal(Signal::KILL)?;
        ensure!(engine.wait_for_end(STOP_LIMIT), "the engine does not end even when it is killed");
        self.stop()
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        let pid = fs::read_to_string(self.run.join("pid")).ok()?.trim().parse().ok()?;
        Process::of(pid).filter(|process| process.program() == "dockerd")
    }

    /// Stops it, and removes what it left on the machine: its directory below `/run`, its mounts and its control
    /// groups.
    ///
    /// # Errors
    /// It does not end.
    pub fn remove(&mut self) -> Result<()> {
        self.stop()?;
        if let Some(containerd) = self.containerd.take() {
            containerd.stop().context("containerd")?;
        }
        if let Some(engine) = self.process() {
            engine.stop(Signal::TERM, STOP_LIMIT)?;
        }
        self.traces().remove(STOP_LIMIT)
    }

    /// What is still there of this engine and of its containers.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn leftovers(&self) -> Result<Vec<String>> {
        self.traces().list()
    }

    fn traces(&self) -> Traces<'_> {
        Traces { data: &self.data, run: &self.run, control_group: CONTROL_GROUP }
    }

    fn log_tail(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let _ = log.seek(SeekFrom::End(-TAIL_BYTES));
            log.read_to_end(&mut text)
        });
        read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("the engine of the tests is not removed: {error:#}");
        }
    }
}
