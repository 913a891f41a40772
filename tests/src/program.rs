//! A program of the pair run to its end, as a user would run it in a shell.

use std::{
    ffi::OsString,
    io::{ErrorKind, Read, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{Pair, eventually, scale::scaled, servers::servers};

/// A command that runs longer hangs; none waits longer than the deadline of a command.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much longer for each step of the scale.
const DEADLINE_PER_SCALE: Duration = Duration::from_secs(3);

/// What is run, and how. Its environment is exactly the pair's settings.
#[derive(Clone, Debug)]
pub struct Run {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    unread: bool,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it printed, byte by byte.
    pub output: Vec<u8>,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Ended {
    /// Itself, if this is its exit status.
    ///
    /// # Errors
    /// It is another.
    pub fn expect(self, expected: i32) -> Result<Self> {
        let (status, errors) = (self.status, &self.errors);
        ensure!(status.code() == Some(expected), "{expected} was expected, and it was {status}: {errors}");
        Ok(self)
    }

    /// What it printed, as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.output)?)
    }

    /// What it printed, if that is one JSON value on one line.
    ///
    /// # Errors
    /// It is something else.
    pub fn json(&self) -> Result<serde_json::Value> {
        let text = self.text()?;
        let line = text.strip_suffix('\n').context("the last line has no end")?;
        ensure!(!line.contains('\n'), "more than one line: {text}");
        serde_json::from_str(line).with_context(|| format!("not JSON: {text}"))
    }
}

impl Run {
    /// command-service with these arguments.
    ///
    /// # Errors
    /// There are no servers.
    pub fn command_service(pair: &Pair, arguments: &[&str]) -> Result<Self> {
        let program = servers()?.binaries.command_service.clone();
        Ok(Self::new(program, arguments, pair.command_environment()))
    }

    /// event-consumer with these arguments.
    ///
    /// # Errors
    /// There are no servers.
    pub fn event_consumer(pair: &Pair, arguments: &[&str]) -> Result<Self> {
        let program = servers()?.binaries.event_consumer.clone();
        Ok(Self::new(program, arguments, pair.consumer_environment()))
    }

    fn new(program: PathBuf, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { program, arguments, environment, input: Vec::new(), unread: false }
    }

    /// With one more argument, which need not be UTF-8.
    #[must_use]
    pub fn and(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With this on standard input.
    #[must_use]
    pub fn fed(mut self, input: &[u8]) -> Self {
        input.clone_into(&mut self.input);
        self
    }

    /// With an output that nobody reads, and nobody ever will.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// With another value of a setting, or without it.
    #[must_use]
    pub fn with(mut self, setting: &str, value: Option<&str>) -> Self {
        self.environment.retain(|(name, _)| name != setting);
        self.environment.extend(value.map(|value| (setting.to_owned(), value.to_owned())));
        self
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn end(self) -> Result<Ended> {
        self.start()?.end().await
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(self) -> Result<Running> {
        let mut running = self.start_unread()?;
        running.output = running.child.stdout.take().map(collect);
        Ok(running)
    }

    /// Starts it; nobody reads what it prints until [`Running::read_line`] does.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_unread(self) -> Result<Running> {
        let output = if self.unread {
            let (reader, writer) = std::io::pipe()?;
            drop(reader);
            Stdio::from(writer)
        } else {
            Stdio::piped()
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = Arc::default();
        let errors = child.stderr.take().map(|pipe| collect_into(pipe, Arc::clone(&said)));
        let stdin = child.stdin.take();
        let input = self.input;
        let feeding = thread::spawn(move || match stdin.map(|mut stdin| stdin.write_all(&input)) {
            // A program that needs no input may end without having read it.
            Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        });
        Ok(Running { child, output: None, said, errors, feeding: Some(feeding) })
    }
}

/// A program that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
    said: Arc<Mutex<Vec<u8>>>,
    errors: Option<JoinHandle<std::io::Result<()>>>,
    feeding: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    /// Reads what it prints up to the end of a line, and then goes away as `head -n 1` does.
    ///
    /// # Errors
    /// It printed no line.
    pub fn read_line(&mut self) -> Result<String> {
        let mut pipe = self.child.stdout.take().context("somebody else reads")?;
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            ensure!(pipe.read(&mut byte)? == 1, "it ended within the first line");
            line.push(byte[0]);
        }
        Ok(String::from_utf8(line)?)
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Kills it.
    ///
    /// # Errors
    /// It had ended.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within the deadline; it is killed then.
    pub async fn end(mut self) -> Result<Ended> {
        let status = eventually(scaled(DEADLINE, DEADLINE_PER_SCALE), "the command ends", async || {
            self.child.try_wait()?.context("it still runs")
        })
        .await?;
        let output = joined(self.output.take())?;
        joined(self.errors.take())?;
        let errors = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(feeding) = self.feeding.take() {
            feeding.join().map_err(|_| anyhow!("the writer panicked"))??;
        }
        Ok(Ended { status, output, errors: String::from_utf8(errors)? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<std::io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

fn collect_into(
    mut pipe: impl Read + Send + 'static,
    said: Arc<Mutex<Vec<u8>>>,
) -> JoinHandle<std::io::Result<()>> {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            match pipe.read(&mut bytes)? {
                0 => return Ok(()),
                read => said.lock().unwrap_or_else(PoisonError::into_inner).extend(&bytes[..read]),
            }
        }
    })
}

/// What a thread has read; nothing without a thread.
fn joined<T: Default>(reading: Option<JoinHandle<std::io::Result<T>>>) -> Result<T> {
    match reading {
        Some(reading) => Ok(reading.join().map_err(|_| anyhow!("a reader panicked"))??),
        None => Ok(T::default()),
    }
}
