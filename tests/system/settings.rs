//! Settings that stop the start: one line that names the setting, status 2, no secret.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::servers::servers;

use crate::programs::{run, with};

/// Stands wherever a value could be shown that must not be.
pub(crate) const SECRET: &str = "canary-in-a-setting";

/// Settings with which both programs would start.
pub(crate) fn fine() -> Vec<(String, String)> {
    let settings = [
        ("DATABASE_URL", "postgres://a:canary-in-a-setting@127.0.0.1:9/a"),
        ("REPLICA_DATABASE_URL", "postgres://a:canary-in-a-setting@127.0.0.1:9/a"),
        ("RABBITMQ_BROKER_URL", "amqp://a:canary-in-a-setting@127.0.0.1:9/a"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

pub(crate) fn programs() -> Result<[(&'static str, PathBuf); 2]> {
    let binaries = &servers()?.binaries;
    Ok([
        ("command-service", binaries.command_service.clone()),
        ("event-consumer", binaries.event_consumer.clone()),
    ])
}

/// The program stops before it does anything, with one line that names `setting`.
pub(crate) fn check_refused(program: &str, output: &Output, setting: &str, reason: &str) -> Result<()> {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let what = format!("{program}, {reason}: {stderr:?}");
    ensure!(output.status.code() == Some(2), "{what}: it ended with {}", output.status);
    ensure!(stdout.is_empty(), "{what}: it printed {stdout:?}");
    ensure!(stderr.lines().count() == 1, "{what}: more than one line");
    ensure!(
        stderr.starts_with(&format!("{program}: {setting}: ")),
        "{what}: it does not begin with {setting}"
    );
    ensure!(!stderr.contains(SECRET), "{what}: it shows the value");
    Ok(())
}

/// Every way to run a program reads the settings first.
pub(crate) const COMMANDS: [&[&str]; 4] = [&[], &["migrate"], &["settings"], &["healthcheck"]];

async fn check_everywhere(environment: &[(String, String)], setting: &str, reason: &str) -> Result<()> {
    for (name, program) in programs()? {
        // The consumer knows no primary and does not read how commands are served.
        let foreign = ["DATABASE_URL", "PARKING__HTTP__PORT", "PARKING__HTTP__WORKERS"].contains(&setting)
            || setting.starts_with("PARKING__COMMIT__")
            || setting.starts_with("PARKING__FRESHNESS__")
            || setting.ends_with("KEEP_ALIVE_S")
            || setting.ends_with("DEADLINE_MS");
        let own_only = ["PARKING__CONSUMER__HTTP_PORT", "PARKING__REPLICA__NAME"].contains(&setting);
        if (name == "event-consumer" && foreign) || (name == "command-service" && own_only) {
            continue;
        }
        for arguments in COMMANDS {
            let output = run(&program, arguments, environment.to_vec()).await?;
            check_refused(name, &output, setting, reason)?;
        }
    }
    Ok(())
}

pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

#[test]
fn a_setting_that_is_wrong_stops_the_start_and_is_named() -> Result<()> {
    let cases = [
        ("DATABASE_URL", "mysql://a:canary-in-a-setting@x/y", "another kind of database"),
        ("DATABASE_URL", "canary-in-a-setting", "no URL"),
        ("DATABASE_URL", "postgres://a:canary-in-a-setting@127.0.0.1:port/a", "a port that is no number"),
        ("DATABASE_URL", "", "empty"),
        ("REPLICA_DATABASE_URL", "postgres://", "no host"),
        ("REPLICA_DATABASE_URL", "postgres://a:canary-in-a-setting@h/a?x=y", "an option that does not exist"),
        ("RABBITMQ_BROKER_URL", "http://a:canary-in-a-setting@h/", "another protocol"),
        ("RABBITMQ_BROKER_URL", "amqp://a:canary-in-a-setting@h:x/", "a port that is no number"),
        ("RABBITMQ_BROKER_URL", "", "empty"),
        ("PARKING__HTTP__KEEP_ALIVE_S", "0", "no connection could be used twice"),
        ("PARKING__HTTP__KEEP_ALIVE_S", "3601", "too long"),
        ("PARKING__FRESHNESS__MAX_WAITERS", "0", "nobody could wait"),
        ("PARKING__HTTP__BIND", "canary-in-a-setting", "no address"),
        ("PARKING__HTTP__PORT", "65536", "beyond the ports"),
        ("PARKING__HTTP__PORT", "-1", "below the ports"),
        ("PARKING__HTTP__PORT", "http", "no number"),
        ("PARKING__HTTP__PORT", "", "empty"),
        ("PARKING__HTTP__WORKERS", "0", "none"),
        ("PARKING__HTTP__WORKERS", "65", "too many"),
        ("PARKING__HTTP__COMMAND_DEADLINE_MS", "4499", "too short to commit in"),
        ("PARKING__HTTP__COMMAND_DEADLINE_MS", "60001", "too long"),
        ("PARKING__HTTP__COMMAND_DEADLINE_MS", "10s", "a unit"),
        ("PARKING__COMMIT__QUEUE_LIMIT", "0", "nobody could wait"),
        ("PARKING__COMMIT__QUEUE_LIMIT", "65537", "too many"),
        ("PARKING__CONSUMER__HTTP_PORT", "x", "no number"),
        ("PARKING__REPLICA__NAME", "Main", "a capital"),
        ("PARKING__REPLICA__NAME", "", "empty"),
        ("PARKING__REPLICA__NAME", "a.b", "a dot, which parts the words of a queue's name"),
        ("PARKING__LOG__FORMAT", "xml", "another form"),
        ("PARKING__LOG__LEVEL", "loud", "no level"),
        ("PARKING__LOG__LEVEL", "canary-in-a-setting=trace", "a filter"),
        ("PARKING__HTTP__PROT", "8000", "misspelt"),
        ("PARKING__", "8000", "no name"),
        ("PARKING__http__port", "8000", "names are capitals"),
        ("PARKING__SECRET", SECRET, "unknown"),
    ];
    block_on(async {
        for (setting, value, reason) in cases {
            let environment = with(&fine(), [(setting, value.to_owned())]);
            check_everywhere(&environment, setting, reason).await?;
        }
        Ok(())
    })
}

#[test]
fn a_url_without_which_a_program_cannot_work_stops_its_start_and_is_named() -> Result<()> {
    // command-service asks for a URL where it needs it; `roles::urls` has its roles and the rest of its commands.
    let cases: [(&str, &str, &[&[&str]]); 5] = [
        ("command-service", "DATABASE_URL", &[&[], &["migrate"]]),
        ("command-service", "REPLICA_DATABASE_URL", &[&[], &["parking-slot-list"]]),
        ("command-service", "RABBITMQ_BROKER_URL", &[&[], &["replay", "--from", "1"]]),
        ("event-consumer", "REPLICA_DATABASE_URL", &COMMANDS),
        ("event-consumer", "RABBITMQ_BROKER_URL", &COMMANDS),
    ];
    block_on(async {
        let programs: BTreeMap<&str, PathBuf> = programs()?.into_iter().collect();
        for (name, setting, commands) in cases {
            for arguments in commands {
                let mut environment = fine();
                environment.retain(|(known, _)| known != setting);
                let output = run(&programs[name], arguments, environment).await?;
                check_refused(name, &output, setting, &format!("absent, {arguments:?}"))?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_value_comes_from_one_place_that_can_be_read() -> Result<()> {
    let directory = servers()?.new_directory("settings")?;
    let port = directory.join("port");
    fs::write(&port, "8123\n")?;
    let port = port.to_string_lossy().into_owned();
    let (absent, folder) =
        (directory.join("none").to_string_lossy().into_owned(), directory.to_string_lossy().into_owned());
    let not_utf8 = directory.join("not-utf8");
    fs::write(&not_utf8, b"\xff\xfe")?;
    let not_utf8 = not_utf8.to_string_lossy().into_owned();
    let nonsense = directory.join("nonsense");
    fs::write(&nonsense, SECRET)?;
    let nonsense = nonsense.to_string_lossy().into_owned();

    block_on(async {
        for name in ["DATABASE_URL", "REPLICA_DATABASE_URL", "RABBITMQ_BROKER_URL", "PARKING__HTTP__PORT"] {
            let file = format!("{name}_FILE");
            let twice = with(&fine(), [(name, "8000".to_owned()), (&file, port.clone())]);
            check_everywhere(&twice, name, "given as itself and as a file").await?;
            for (path, reason) in [(&absent, "no file"), (&folder, "a folder"), (&not_utf8, "no text")] {
                let mut environment = with(&fine(), [(file.as_str(), path.clone())]);
                environment.retain(|(known, _)| known != name);
                check_everywhere(&environment, &file, reason).await?;
            }
            let mut environment = with(&fine(), [(file.as_str(), nonsense.clone())]);
            environment.retain(|(known, _)| known != name);
            check_everywhere(&environment, name, "a file that holds something else").await?;
        }

        let environment = with(&fine(), [("PARKING__HTTP__PORT_FILE", port.clone())]);
        let settings = effective(&environment, &[]).await?;
        ensure!(settings.contains(&("PARKING__HTTP__PORT".into(), "8123".into(), "value-file".into())));
        Ok(())
    })
}

#[test]
fn a_config_file_that_is_wrong_stops_the_start_and_what_is_wrong_is_named() -> Result<()> {
    let directory = servers()?.new_directory("settings")?;
    let cases: [(&str, &[u8], &str); 15] = [
        ("--config", b"[http\nport = 1", "no TOML"),
        ("--config", b"database_url = \"canary-in-a-setting", "a string that does not end"),
        ("--config", b"x = canary-in-a-setting", "a value without quotes"),
        ("--config", b"[http]\nport = 1\nport = 2", "a key twice"),
        ("--config", b"[http]\nport = 1\n[http]\n", "a table twice"),
        ("--config", b"\xff\xfe", "no text"),
        ("PARKING__HTTP__PORT", b"[http]\nport = true", "a wrong type"),
        ("PARKING__HTTP__PORT", b"[http]\nport = 1.5", "a wrong type"),
        ("PARKING__HTTP__PORT", b"[http]\nport = [1]", "a wrong type"),
        ("PARKING__HTTP__PORT", b"[http]\nport = { x = 1 }", "a table"),
        ("PARKING__HTTP__PORT", b"[http]\nport = \"x\"", "a wrong value"),
        ("PARKING__HTTP__PORT", b"[http]\nport = 1\n[HTTP]\nport = 2", "twice, in two spellings"),
        ("PARKING__HTTP__PROT", b"[http]\nprot = 1", "unknown"),
        ("PARKING__HTPP__PORT", b"[htpp]\nport = 1", "an unknown section"),
        ("COLOUR", b"colour = \"canary-in-a-setting\"", "unknown, outside of any section"),
    ];

    block_on(async {
        let [(name, program), _] = programs()?;
        for (number, (setting, text, reason)) in cases.iter().enumerate() {
            let file = directory.join(format!("{number}.toml"));
            fs::write(&file, text)?;
            let file = file.to_string_lossy().into_owned();
            for arguments in [["--config", &file, "serve"], ["settings", "--config", &file]] {
                let output = run(&program, &arguments, fine()).await?;
                check_refused(name, &output, setting, reason)?;
            }
        }
        for (path, reason) in [(directory.join("none"), "no file"), (directory.clone(), "a folder")] {
            for (name, program) in programs()? {
                let output = run(&program, &["--config", &path.to_string_lossy()], fine()).await?;
                check_refused(name, &output, "--config", reason)?;
            }
        }
        Ok(())
    })
}

#[test]
fn the_settings_in_force_are_shown_with_their_source_and_without_secrets() -> Result<()> {
    let directory = servers()?.new_directory("settings")?;
    let file = directory.join("settings.toml");
    let replica = "postgres://a:canary-in-a-setting@127.0.0.1:9/b";
    fs::write(
        &file,
        format!("replica_database_url = \"{replica}\"\n[http]\nport = 8100\nworkers = \"3\"\n"),
    )?;
    let file = file.to_string_lossy().into_owned();
    let mut environment = with(&fine(), [("PARKING__HTTP__PORT", "8200".to_owned())]);
    environment.retain(|(name, _)| name != "REPLICA_DATABASE_URL");

    let shown = block_on(effective(&environment, &["--config", &file]))?;

    for (name, value, source) in [
        ("DATABASE_URL", "[hidden]", "environment"),
        ("REPLICA_DATABASE_URL", "[hidden]", "config-file"),
        ("RABBITMQ_BROKER_URL", "[hidden]", "environment"),
        ("PARKING__HTTP__PORT", "8200", "environment"),
        ("PARKING__HTTP__WORKERS", "3", "config-file"),
        ("PARKING__COMMIT__QUEUE_LIMIT", "4096", "default"),
    ] {
        let expected = (name.to_owned(), value.to_owned(), source.to_owned());
        assert!(shown.contains(&expected), "{expected:?} is not among {shown:?}");
    }
    Ok(())
}

/// What `settings` prints of command-service, as name, value and source; the same as JSON and as text.
async fn effective(
    environment: &[(String, String)],
    arguments: &[&str],
) -> Result<Vec<(String, String, String)>> {
    let [(_, program), _] = programs()?;
    let json = run(&program, &[&["settings", "--json"], arguments].concat(), environment.to_vec()).await?;
    let text = run(&program, &[&["settings"], arguments].concat(), environment.to_vec()).await?;
    let mut settings = Vec::new();
    for output in [&json, &text] {
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ensure!(!String::from_utf8_lossy(&output.stdout).contains(SECRET), "it shows a secret");
    }
    let text = String::from_utf8(text.stdout)?;
    for (line, shown) in String::from_utf8(json.stdout)?.lines().zip(text.lines()) {
        let setting: Value = serde_json::from_str(line)?;
        let member = |name: &str| setting[name].as_str().map(str::to_owned).with_context(|| line.to_owned());
        let value = if setting["value"].is_null() { "[not set]".to_owned() } else { member("value")? };
        let name = member("name")?;
        ensure!(shown.starts_with(&format!("{name} = {value} (")), "{shown} is not {line}");
        settings.push((name, value, member("source")?));
    }
    Ok(settings)
}
