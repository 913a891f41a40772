//! A service as a child process: started, killed, stopped, and missed when it ends by itself.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use stack::process::{Process, Signal};

use crate::{client::Client, eventually};

/// How long a service may take from its start to listening.
const START_DEADLINE: Duration = Duration::from_secs(15);

/// How long a service may take from the request to stop to its end.
pub const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How much of a log is shown when a test fails.
const TAIL_BYTES: u64 = 8 * 1024;

/// Where a service listens; it moves when the service is started again. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Address(Arc<Mutex<String>>);

impl Address {
    /// A fixed one.
    #[must_use]
    pub fn of(address: String) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    /// The address now: `http://127.0.0.1:PORT`, empty before the first start.
    #[must_use]
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, address: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// A service under test. Dropping it kills its process.
#[derive(Debug)]
pub struct Service {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Mutex<Vec<(String, String)>>,
    directory: PathBuf,
    address: Address,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    log_start: u64,
}

impl Service {
    /// A service that is not started yet. Its environment is exactly `environment`; it works, and logs, in `directory`.
    #[must_use]
    pub fn new(
        name: String,
        program: PathBuf,
        environment: Vec<(String, String)>,
        directory: PathBuf,
    ) -> Self {
        Self {
            name,
            program,
            arguments: Vec::new(),
            environment: Mutex::new(environment),
            directory,
            address: Address::default(),
            running: Mutex::new(None),
        }
    }

    /// The same, started with these arguments.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Sets a setting, or takes it away, from the next start on.
    pub fn set(&self, setting: &str, value: Option<&str>) {
        let mut environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        environment.retain(|(name, _)| name != setting);
        environment.extend(value.map(|value| (setting.to_owned(), value.to_owned())));
    }

    /// Its name in the output of a failed test.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// A client that follows the service through restarts.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// Starts the process and waits until it says where it listens, which it must whatever is down.
    ///
    /// # Errors
    /// It ended, or did not listen in time.
    pub async fn start(&self) -> Result<()> {
        self.spawn()?;
        let address =
            eventually(START_DEADLINE, &format!("{} listens", self.name), async || self.listening_address())
                .await?;
        self.address.set(address);
        Ok(())
    }

    /// Kills the process, which gets no chance to do anything about it.
    ///
    /// # Errors
    /// It was not running.
    pub fn kill(&self) -> Result<()> {
        let mut running = self.take_running()?;
        running.child.kill()?;
        running.child.wait()?;
        Ok(())
    }

    /// Freezes the process: its connections stay open, and it says nothing.
    ///
    /// # Errors
    /// It was not running.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Undoes [`Service::pause`].
    ///
    /// # Errors
    /// It was not running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} does not run", self.name))?;
        let sent = Process::of(i32::try_from(pid)?).context("it has ended already")?.signal(signal)?;
        ensure!(sent, "{} has ended already", self.name);
        Ok(())
    }

    /// Asks the process to stop and waits for that.
    ///
    /// # Errors
    /// It was not running, or did not end within [`STOP_DEADLINE`].
    pub async fn stop(&self) -> Result<ExitStatus> {
        let mut running = self.take_running()?;
        let process = i32::try_from(running.child.id()).ok().and_then(Process::of);
        process.context("it has ended already")?.signal(Signal::TERM)?;
        let ended = eventually(STOP_DEADLINE, "the service ends", async || {
            running.child.try_wait()?.context("it still runs")
        })
        .await;
        if ended.is_err() {
            running.child.kill()?;
            running.child.wait()?;
        }
        ended
    }

    /// The process's id, while it is meant to run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock_running().as_ref().map(|running| running.child.id())
    }

    /// How the process ended, if it did so by itself.
    #[must_use]
    pub fn unexpected_end(&self) -> Option<ExitStatus> {
        let mut running = self.lock_running();
        running.as_mut()?.child.try_wait().ok().flatten()
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let start =
            fs::metadata(self.log_path()).map(|log| log.len().saturating_sub(TAIL_BYTES)).unwrap_or_default();
        self.log_from(start).unwrap_or_default()
    }

    /// The lines that it has logged since its last start.
    ///
    /// # Errors
    /// It was not started.
    pub fn log_lines(&self) -> Result<Vec<Value>> {
        let start = self.lock_running().as_ref().map(|running| running.log_start).context("not started")?;
        let text = self.log_from(start)?;
        // The last line may be half written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// All that it has ever logged.
    ///
    /// # Errors
    /// It was never started.
    pub fn log(&self) -> Result<String> {
        self.log_from(0)
    }

    fn spawn(&self) -> Result<()> {
        let mut running = self.lock_running();
        ensure!(running.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let log_start = log.metadata()?.len();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        *running = Some(Running { child, log_start });
        Ok(())
    }

    fn listening_address(&self) -> Result<String> {
        if let Some(status) = self.unexpected_end() {
            bail!("{} ended with {status}", self.name);
        }
        let start = self.lock_running().as_ref().map(|running| running.log_start).context("not started")?;
        let text = self.log_from(start)?;
        // The last line may be half written.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().find_map(listening_url).context("no line says that it listens")
    }

    fn take_running(&self) -> Result<Running> {
        let mut running = self.lock_running();
        running.take().ok_or_else(|| anyhow!("{} does not run", self.name))
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn log_from(&self, start: u64) -> Result<String> {
        let mut log = File::open(self.log_path())?;
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The address in the line that says that a service listens, in either form of logs.
fn listening_url(line: &str) -> Option<String> {
    if let Ok(line) = serde_json::from_str::<Value>(line) {
        return (line["message"] == "listening").then(|| line["url"].as_str().map(str::to_owned))?;
    }
    let (_, url) = line.split_once(" listening url=")?;
    url.split_whitespace().next().map(str::to_owned)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
