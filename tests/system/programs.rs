//! The services' programs, run as somebody at a terminal would.

use std::{
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use stack::process::{Process, Signal};
use system_tests::blocking;
use tokio::time::timeout;

/// Longer than a command may take that waits for a dependency.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a program with exactly this environment; what it printed and how it ended.
pub(crate) async fn run(
    program: &Path,
    arguments: &[&str],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("it cannot be run")?;
    let pid = i32::try_from(child.id())?;
    // Killed when it runs for longer than any command may, so that it ends in any case.
    let mut waiting = tokio::spawn(blocking(move || {
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let errors = std::thread::spawn(move || read(&mut stderr));
        let stdout = read(&mut stdout)?;
        let stderr = errors.join().map_err(|_| anyhow!("the reader panicked"))??;
        Ok(Output { status: child.wait()?, stdout, stderr })
    }));
    match timeout(DEADLINE, &mut waiting).await {
        Ok(ended) => ended?,
        Err(_) => {
            if let Some(process) = Process::of(pid) {
                process.signal(Signal::KILL)?;
            }
            let output = waiting.await??;
            bail!("{arguments:?} still ran after {DEADLINE:?}: {}", String::from_utf8_lossy(&output.stderr))
        }
    }
}

fn read(pipe: &mut Option<impl Read>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.as_mut().context("no pipe")?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same settings with some changed or added.
pub(crate) fn with<'s>(
    settings: &[(String, String)],
    changes: impl IntoIterator<Item = (&'s str, String)>,
) -> Vec<(String, String)> {
    let mut changed = settings.to_vec();
    for (name, value) in changes {
        changed.retain(|(known, _)| known != name);
        changed.push((name.to_owned(), value));
    }
    changed
}
