//! The end of a process: a signal ends it whatever becomes of its log, and a second one at once.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{io::ioctl_fionread, pipe::fcntl_setpipe_size};
use stack::process::{Process, Signal};
use system_tests::{Pair, RECOVERY, eventually, servers::servers, with_pair};

use crate::commit::waiting_for_commit_lock;

/// A process with nothing under way ends well before this.
const END_MAX: Duration = Duration::from_secs(5);

/// What a second signal may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Nothing listens on this port.
const UNREACHABLE: [(&str, &str); 6] = [
    ("DATABASE_URL", "postgres://somebody:secret@127.0.0.1:1/primary"),
    ("REPLICA_DATABASE_URL", "postgres://somebody:secret@127.0.0.1:1/replica"),
    ("RABBITMQ_BROKER_URL", "amqp://somebody:secret@127.0.0.1:1/%2f"),
    ("PARKING__HTTP__PORT", "0"),
    ("PARKING__CONSUMER__HTTP_PORT", "0"),
    ("PARKING__LOG__LEVEL", "debug"),
];

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, signal: Signal) -> Result<()> {
        let process = i32::try_from(self.0.id()).ok().and_then(Process::of);
        process.context("it has ended already")?.signal(signal)?;
        Ok(())
    }

    async fn ends_within(&mut self, most: Duration) -> Result<Option<i32>> {
        let asked_at = Instant::now();
        let status =
            eventually(RECOVERY, "the process ends", async || self.0.try_wait()?.context("it still runs"))
                .await?;
        let took = asked_at.elapsed();
        ensure!(took <= most, "it took {took:?}");
        Ok(status.code())
    }
}

fn start(program: &std::path::Path) -> Result<Running> {
    let child = Command::new(program)
        .env_clear()
        .envs(UNREACHABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(Running(child))
}

/// Reads its log up to the line that says that it listens.
fn read_until_it_listens(running: &mut Running) -> Result<BufReader<std::process::ChildStderr>> {
    let mut log = BufReader::new(running.0.stderr.take().context("no standard error")?);
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        ensure!(log.read_line(&mut line)? > 0, "it ended");
    }
    Ok(log)
}

#[test]
fn a_service_whose_log_nobody_reads_any_more_ends_when_it_is_asked_to() -> Result<()> {
    with_pair(async |_: &Pair| {
        let binaries = &servers()?.binaries;
        for program in [&binaries.command_service, &binaries.event_consumer] {
            let mut gone = start(program)?;
            drop(read_until_it_listens(&mut gone)?);
            // It goes on to log that nothing can be reached.
            gone.signal(Signal::TERM)?;
            assert_eq!(
                gone.ends_within(END_MAX).await?,
                Some(0),
                "{}: the reader is gone",
                program.display()
            );

            let mut paused = start(program)?;
            let unread = paused.0.stderr.take().context("no standard error")?;
            let room = u64::try_from(fcntl_setpipe_size(&unread, 4096)?)?;
            eventually(RECOVERY, "its log is full", async || {
                let held = ioctl_fionread(&unread)?;
                // No line is longer than what may be left.
                ensure!(held + 1024 > room, "{held} of {room} bytes");
                Ok(())
            })
            .await?;
            paused.signal(Signal::TERM)?;
            assert_eq!(
                paused.ends_within(END_MAX).await?,
                Some(0),
                "{}: the reader stands still",
                program.display()
            );
            drop(unread);
        }
        Ok(())
    })
}

#[test]
fn a_second_signal_ends_a_service_at_once() -> Result<()> {
    with_pair(async |pair| {
        let _held = pair.primary.hold_commit_lock().await?;
        let client = pair.client();
        let waiting = tokio::spawn(async move { client.create("Slot 1").await });
        eventually(RECOVERY, "the command waits", async || {
            ensure!(waiting_for_commit_lock(pair).await? > 0, "it does not");
            Ok(())
        })
        .await?;
        let service = pair.command_service();
        let process = service.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Process::of);
        let process = process.context("it does not run")?;
        process.signal(Signal::TERM)?;
        eventually(RECOVERY, "it begins to end", async || {
            let lines = service.log_lines()?;
            ensure!(lines.iter().any(|line| line["message"] == "shutting down"), "not yet");
            Ok(())
        })
        .await?;
        ensure!(service.unexpected_end().is_none(), "it has ended, and the command waits still");

        process.signal(Signal::INT)?;

        let asked_at = Instant::now();
        let status =
            eventually(RECOVERY, "it ends", async || service.unexpected_end().context("not yet")).await?;
        ensure!(asked_at.elapsed() <= AT_ONCE, "it took {:?}", asked_at.elapsed());
        assert_eq!(status.code(), Some(1));
        waiting.abort();
        service.kill()?;
        Ok(())
    })
}
