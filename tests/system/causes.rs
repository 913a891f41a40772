//! A command that cannot use a dependency says why, in its one line and without a secret.

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use system_tests::{Pair, program::Run, with_pair};

/// A password that no server takes. It must show nowhere.
const WRONG_PASSWORD: &str = "correct-horse-battery";

/// A name without an address. A label this long is no name, so nobody is asked for it.
fn no_host() -> String {
    "x".repeat(64)
}

/// What is wrong with a URL, and what a command says of it.
struct Wrong {
    url: String,
    cause: String,
}

/// A port on which nobody listens.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn changed(url: &str, change: impl Fn(&mut Url) -> Option<()>) -> Result<String> {
    let mut url: Url = url.parse()?;
    change(&mut url).context("the URL cannot be changed")?;
    Ok(url.into())
}

/// What can be wrong with the way to any server. libc and the kernel say it.
fn unreachable(url: &str) -> Result<Vec<Wrong>> {
    let (host, port) = (no_host(), free_port()?);
    Ok(vec![
        Wrong {
            url: changed(url, |url| url.set_port(Some(port)).ok())?,
            cause: "Connection refused (os error 111)".to_owned(),
        },
        Wrong {
            url: changed(url, |url| url.set_host(Some(&host)).ok())?,
            cause: "failed to lookup address information: Name or service not known".to_owned(),
        },
    ])
}

fn wrong_databases(url: &str) -> Result<Vec<Wrong>> {
    let user = url.parse::<Url>()?.username().to_owned();
    let mut wrong = unreachable(url)?;
    wrong.push(Wrong {
        url: changed(url, |url| url.set_password(Some(WRONG_PASSWORD)).ok())?,
        cause: format!("password authentication failed for user \"{user}\""),
    });
    wrong.push(Wrong {
        url: changed(url, |url| {
            url.set_path("/nowhere");
            Some(())
        })?,
        cause: "database \"nowhere\" does not exist".to_owned(),
    });
    Ok(wrong)
}

fn wrong_brokers(url: &str) -> Result<Vec<Wrong>> {
    let mut wrong = unreachable(url)?;
    wrong.push(Wrong {
        url: changed(url, |url| url.set_password(Some(WRONG_PASSWORD)).ok())?,
        cause: "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                For details see the broker logfile."
            .to_owned(),
    });
    wrong.push(Wrong {
        url: changed(url, |url| {
            url.set_path("/nowhere");
            Some(())
        })?,
        cause: "NOT_ALLOWED - vhost nowhere not found".to_owned(),
    });
    Ok(wrong)
}

fn setting(environment: &[(String, String)], name: &str) -> Result<String> {
    let found = environment.iter().find(|(known, _)| known == name);
    Ok(found.with_context(|| format!("{name} is not set"))?.1.clone())
}

/// The command ends with status 3 and this line at the end of standard error.
async fn assert_said(run: Run, line: &str, wrong: &Wrong) -> Result<()> {
    let ended = run.end().await?.expect(3).with_context(|| line.to_owned())?;
    let last = ended.errors.lines().last().unwrap_or_default();
    assert_eq!(last, line);
    ensure!(ended.output.is_empty(), "messages belong on standard error");
    let url: Url = wrong.url.parse()?;
    let password = url.password().context("the URL has a password")?;
    ensure!(!ended.errors.contains(password), "the password shows: {}", ended.errors);
    ensure!(!ended.errors.contains("://"), "the URL shows: {}", ended.errors);
    Ok(())
}

#[test]
fn a_command_says_why_it_cannot_use_the_primary() -> Result<()> {
    let uuid = uuid::Uuid::nil().to_string();
    let commands: [(&[&str], &str); 7] = [
        (&["create-parking-slot", "--name", "x"], "the primary database is down: "),
        (&["update-parking-slot", &uuid, "--name", "x"], "the primary database is down: "),
        (&["delete-parking-slot", &uuid], "the primary database is down: "),
        (&["migrate"], "the primary is down: "),
        (&["migrate", "--new-epoch"], "the primary is down: "),
        (&["replay", "--from", "1"], "the primary is down: "),
        (&["verify"], "the primary is down: "),
    ];
    with_pair(async |pair| {
        let environment = pair.command_environment();
        for wrong in wrong_databases(&setting(&environment, "DATABASE_URL")?)? {
            let run = |arguments: &[&str]| -> Result<Run> {
                Ok(Run::command_service(pair, arguments)?.with("DATABASE_URL", Some(&wrong.url)))
            };
            for (arguments, beginning) in commands {
                let line = format!("command-service: {beginning}{}", wrong.cause);
                assert_said(run(arguments)?, &line, &wrong).await?;
            }
            let import = run(&["import-parking-slots", "-"])?.fed(b"name,status\nx,blocked\n");
            let line = format!(
                "command-service: the primary database is down: {}; 0 of 1 rows are in: go on with --skip 0",
                wrong.cause
            );
            assert_said(import, &line, &wrong).await?;
        }
        Ok(())
    })
}

#[test]
fn a_command_says_why_it_cannot_use_the_replica() -> Result<()> {
    let uuid = uuid::Uuid::nil().to_string();
    let queries: [&[&str]; 4] =
        [&["parking-slot-list"], &["parking-slot-details", &uuid], &["export-parking-slots"], &["verify"]];
    let consumers: [&[&str]; 6] = [
        &["migrate"],
        &["dead-letters", "list"],
        &["dead-letters", "show", "1"],
        &["dead-letters", "retry", "1"],
        &["dead-letters", "discard", "1"],
        &["rebuild", "--patience", "1"],
    ];
    with_pair(async |pair| {
        for wrong in wrong_databases(&setting(&pair.command_environment(), "REPLICA_DATABASE_URL")?)? {
            let line = format!("command-service: the replica is down: {}", wrong.cause);
            for arguments in queries {
                let run = Run::command_service(pair, arguments)?;
                assert_said(run.with("REPLICA_DATABASE_URL", Some(&wrong.url)), &line, &wrong).await?;
            }
        }
        for wrong in wrong_databases(&setting(&pair.consumer_environment(), "REPLICA_DATABASE_URL")?)? {
            let line = format!("event-consumer: the replica is down: {}", wrong.cause);
            for arguments in consumers {
                let run = Run::event_consumer(pair, arguments)?;
                assert_said(run.with("REPLICA_DATABASE_URL", Some(&wrong.url)), &line, &wrong).await?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_command_says_why_it_cannot_use_the_broker() -> Result<()> {
    with_pair(async |pair| {
        damage_the_replica(pair).await?;
        for wrong in wrong_brokers(&setting(&pair.command_environment(), "RABBITMQ_BROKER_URL")?)? {
            let line = format!("command-service: the broker is down: {}", wrong.cause);
            for arguments in [&["replay", "--from", "1"][..], &["verify", "--repair"]] {
                let run = Run::command_service(pair, arguments)?;
                assert_said(run.with("RABBITMQ_BROKER_URL", Some(&wrong.url)), &line, &wrong).await?;
            }
        }
        for wrong in wrong_brokers(&setting(&pair.consumer_environment(), "RABBITMQ_BROKER_URL")?)? {
            let line = format!("event-consumer: the broker is down: {}", wrong.cause);
            let run = Run::event_consumer(pair, &["rebuild", "--patience", "2"])?;
            assert_said(run.with("RABBITMQ_BROKER_URL", Some(&wrong.url)), &line, &wrong).await?;
        }
        Ok(())
    })
}

/// Leaves something to repair, so that verify needs the broker.
async fn damage_the_replica(pair: &Pair) -> Result<()> {
    let uuid = pair.client().created("Slot 1").await?.uuid;
    system_tests::assert_level(pair).await?;
    let edit = "UPDATE parking_slots SET name = 'By hand' WHERE uuid = $1";
    pair.replica.sql().await?.execute(edit, &[&uuid]).await?;
    Ok(())
}

#[test]
fn a_command_says_that_a_database_is_not_migrated() -> Result<()> {
    with_pair(async |pair| {
        let url = setting(&pair.command_environment(), "DATABASE_URL")?;
        let postgres = changed(&url, |url| {
            url.set_path("/postgres");
            Some(())
        })?;
        let create = Run::command_service(pair, &["create-parking-slot", "--name", "x"])?;

        let ended = create.with("DATABASE_URL", Some(&postgres)).end().await?.expect(3)?;

        let line =
            "command-service: the primary database is down: not migrated: run command-service migrate (";
        ensure!(ended.errors.starts_with(line), "{}", ended.errors);
        ensure!(ended.errors.contains("does not exist"), "{}", ended.errors);
        Ok(())
    })
}
