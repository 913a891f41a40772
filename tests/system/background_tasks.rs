//! A background task that panics ends its process, with its name and exit status 1, so that a supervisor starts it again.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, RECOVERY, assert_level, eventually, servers::servers, service::Service, with_pair};

/// How long a process may go on after the panic. Measured by the clock of files, which is coarse.
const END_MAX: Duration = Duration::from_millis(1_100);

/// A service in which `task` panics once the flag stands.
struct Faulty {
    service: Service,
    flag: PathBuf,
}

impl Faulty {
    fn new(pair: &Pair, program: &str, task: &str) -> Result<Self> {
        let directory = servers()?.new_directory("faulty")?;
        let flag = directory.join("flag");
        let mut environment = match program {
            "command-service" => pair.command_environment(),
            _ => pair.consumer_environment(),
        };
        environment.extend([
            ("FAULT_TASK".to_owned(), task.to_owned()),
            ("FAULT_FLAG".to_owned(), flag.to_string_lossy().into_owned()),
            ("PARKING__HTTP__PORT".to_owned(), "0".to_owned()),
            ("PARKING__CONSUMER__HTTP_PORT".to_owned(), "0".to_owned()),
        ]);
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_faulty-service"));
        let service = Service::new(format!("faulty {program}"), binary, environment, directory);
        Ok(Self { service: service.with_arguments(&[program]), flag })
    }

    /// Waits until it has ended, and gives each of its tasks something to do meanwhile.
    async fn end(&self) -> Result<()> {
        let client = self.service.client();
        eventually(RECOVERY, "the faulty service ends", async || {
            if self.service.unexpected_end().is_none() && !self.service.address().get().is_empty() {
                let _ = client.create("work").await;
                let _ = client.get_path("/parking-slots?limit=1&consistency=strong&wait_ms=0").await;
                let _ = client.get_path("/parking-slots?limit=1&name=work").await;
            }
            let status = self.service.unexpected_end().context("it still runs")?;
            let ended_at = SystemTime::now();
            ensure!(status.code() == Some(1), "it ended with {status}");
            let panicked_at = fs::metadata(self.flag.with_extension("panicked"))?.modified()?;
            let took = ended_at.duration_since(panicked_at)?;
            println!("ended {} ms after the panic", took.as_millis());
            Ok(took)
        })
        .await
        .and_then(|took| {
            ensure!(took <= END_MAX, "it ended {took:?} after the panic");
            Ok(())
        })
    }
}

async fn assert_panic_ends(pair: &Pair, program: &str, task: &str) -> Result<()> {
    let faulty = Faulty::new(pair, program, task)?;
    // This one works once a minute only: it panics at once.
    let is_rare = task == "forget";
    if is_rare {
        fs::write(&faulty.flag, "")?;
    }
    let started = faulty.service.start().await;
    if !is_rare {
        started?;
        fs::write(&faulty.flag, "")?;
    }

    faulty.end().await.with_context(|| format!("{program}: {task}"))?;

    let log = faulty.service.log()?;
    let last = log.lines().last().context("it has logged nothing")?;
    let expected = format!("{program}: the background task `{task}` panicked");
    ensure!(last.starts_with(&expected), "the last line is {last}, and not {expected}");
    // What a supervisor does.
    faulty.service.kill()?;
    fs::remove_file(&faulty.flag)?;
    faulty.service.start().await?;
    eventually(RECOVERY, "it is ready again", async || {
        let reply = faulty.service.client().readyz().await?;
        ensure!(reply.status == 200, "it answers {}", reply.status);
        Ok(())
    })
    .await?;
    assert_level(pair).await.map(|_| ())
}

#[test]
fn a_panic_in_a_background_task_of_command_service_ends_it_with_the_name_of_the_task() -> Result<()> {
    with_pair(async |pair| {
        for task in
            ["committer", "log end", "replica watch", "reader", "searcher", "relay", "replay", "forget"]
        {
            assert_panic_ends(pair, "command-service", task).await?;
        }
        Ok(())
    })
}

#[test]
fn a_panic_in_a_background_task_of_event_consumer_ends_it_with_the_name_of_the_task() -> Result<()> {
    with_pair(async |pair| {
        for task in ["subscription", "holes"] {
            assert_panic_ends(pair, "event-consumer", task).await?;
        }
        Ok(())
    })
}
