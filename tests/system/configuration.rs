//! Settings that both services share, and the document that lists them all.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::process::settings::{SETTINGS, Service, Setting};
use system_tests::servers::servers;

use crate::{
    programs::{run, with},
    settings::{COMMANDS, SECRET, block_on, check_refused, fine, programs},
};

fn document() -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    Ok(fs::read_to_string(root.join("docs/configuration.md"))?)
}

/// What `settings --json` of a program prints, by name: value and source.
async fn effective(
    program: &Path,
    environment: &[(String, String)],
    arguments: &[&str],
) -> Result<BTreeMap<String, (String, String)>> {
    let output = run(program, &[&["settings", "--json"], arguments].concat(), environment.to_vec()).await?;
    ensure!(output.status.success(), "{environment:?}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    let read = |line: &str| {
        let setting: Value = serde_json::from_str(line)?;
        let member = |name: &str| setting[name].as_str().map(str::to_owned).with_context(|| line.to_owned());
        let value = if setting["value"].is_null() { "[not set]".to_owned() } else { member("value")? };
        Ok((member("name")?, (value, member("source")?)))
    };
    lines.lines().map(read).collect()
}

/// The names of the services that read a setting, as the document writes them.
fn read_by(setting: &Setting) -> String {
    let name = |service: &Service| match service {
        Service::CommandService => "command-service",
        Service::EventConsumer => "event-consumer",
    };
    match setting.read_by {
        [one] => name(one).to_owned(),
        _ => "both".to_owned(),
    }
}

/// A setting's place in a TOML file: section and key.
fn place(name: &str) -> String {
    match name.strip_prefix("PARKING__").and_then(|rest| rest.split_once("__")) {
        Some((section, key)) => format!("[{}] {}", section.to_lowercase(), key.to_lowercase()),
        None => name.to_lowercase(),
    }
}

#[test]
fn every_setting_is_documented_with_its_default_and_nothing_else_is() -> Result<()> {
    let document = document()?;
    let documented: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.trim_matches('|').split(" | ").take(5).map(str::trim).collect())
        .collect();

    let declared: Vec<Vec<String>> = SETTINGS
        .iter()
        .map(|setting| {
            let default = match &setting.default {
                None => "none".to_owned(),
                Some(_) if setting.name.ends_with("__WORKERS") => "half the cores, at most 64".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let (name, place) = (format!("`{}`", setting.name), format!("`{}`", place(setting.name)));
            vec![name, place, read_by(setting), default, setting.allowed.clone()]
        })
        .collect();

    assert_eq!(documented, declared, "name, TOML, service, default, allowed");
    Ok(())
}

#[test]
fn each_program_shows_the_settings_that_are_documented_for_it_and_their_defaults() -> Result<()> {
    block_on(async {
        for (name, program) in programs()? {
            let shown = effective(&program, &fine(), &[]).await?;

            let own = SETTINGS.iter().filter(|setting| ["both", name].contains(&read_by(setting).as_str()));
            let own: BTreeMap<_, _> = own.map(|setting| (setting.name, &setting.default)).collect();
            assert!(shown.keys().eq(own.keys()), "{name}: {shown:?}");
            for (name, default) in own {
                let expected = match default {
                    Some(default) => (default.clone(), "default".to_owned()),
                    None if name.ends_with("_KEY") => ("[not set]".to_owned(), "default".to_owned()),
                    None => ("[hidden]".to_owned(), "environment".to_owned()),
                };
                assert_eq!(shown[name], expected, "{name}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_example_of_a_config_file_sets_what_it_names() -> Result<()> {
    let document = document()?;
    let example = document.split("```toml\n").nth(1).context("no example")?;
    let example = example.split("```").next().unwrap_or_default();
    let file = servers()?.new_directory("configuration")?.join("example.toml");
    fs::write(&file, example)?;
    let file = file.to_string_lossy().into_owned();
    let keys = example.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();

    let set = block_on(async {
        let mut set = BTreeMap::new();
        for (_, program) in programs()? {
            set.extend(effective(&program, &[], &["--config", &file]).await?);
        }
        Ok(set)
    })?;

    let from_file = set.values().filter(|(_, source)| source == "config-file").count();
    ensure!(keys > 3 && from_file == keys, "{keys} keys, and of them set: {set:?}");
    Ok(())
}

#[test]
fn a_setting_of_the_other_service_is_no_error_and_has_no_effect() -> Result<()> {
    block_on(async {
        for (name, program) in programs()? {
            let foreign =
                SETTINGS.iter().filter(|setting| !["both", name].contains(&read_by(setting).as_str()));
            let alone = effective(&program, &fine(), &[]).await?;
            for setting in foreign {
                for value in [setting.default.clone().unwrap_or_default(), "nonsense".to_owned()] {
                    let environment = with(&fine(), [(setting.name, value)]);
                    assert_eq!(effective(&program, &environment, &[]).await?, alone, "{}", setting.name);
                }
            }
        }
        Ok(())
    })
}

#[test]
fn text_that_looks_like_a_number_stays_what_it_is() -> Result<()> {
    let directory = servers()?.new_directory("configuration")?;
    block_on(async {
        let [_, (_, consumer)] = programs()?;
        for text in ["0123", "1e5", "0x1f", "007", "-0", "true", "on"] {
            let (value, config) = (directory.join("value"), directory.join("config.toml"));
            fs::write(&value, format!("{text}\n"))?;
            fs::write(&config, format!("[replica]\nname = \"{text}\"\n"))?;
            let (value, config) =
                (value.to_string_lossy().into_owned(), config.to_string_lossy().into_owned());

            let by_variable = with(&fine(), [("PARKING__REPLICA__NAME", text.to_owned())]);
            let by_file = with(&fine(), [("PARKING__REPLICA__NAME_FILE", value)]);
            let arguments = ["--config", config.as_str()];
            for (environment, arguments, source) in [
                (by_variable, &[][..], "environment"),
                (by_file, &[][..], "value-file"),
                (fine(), &arguments[..], "config-file"),
            ] {
                let shown = effective(&consumer, &environment, arguments).await?;
                assert_eq!(shown["PARKING__REPLICA__NAME"], (text.to_owned(), source.to_owned()));
            }
        }
        Ok(())
    })
}

#[test]
fn a_number_is_written_in_digits() -> Result<()> {
    block_on(async {
        let [(name, program), _] = programs()?;
        for text in ["true", "on", "1e3", "1.0", "0x10", " 1", "1_000", "-1", ""] {
            let environment = with(&fine(), [("PARKING__HTTP__WORKERS", text.to_owned())]);
            let output = run(&program, &["settings"], environment).await?;
            check_refused(name, &output, "PARKING__HTTP__WORKERS", text)?;
        }
        Ok(())
    })
}

#[test]
fn tls_stops_the_start_because_it_is_not_supported() -> Result<()> {
    let database = "postgres://a:canary-in-a-setting@127.0.0.1:9/a?";
    let cases = [
        ("RABBITMQ_BROKER_URL", "amqps://a:canary-in-a-setting@127.0.0.1:9/a".to_owned()),
        ("RABBITMQ_BROKER_URL", "AMQPS://a:canary-in-a-setting@127.0.0.1/a?heartbeat=5".to_owned()),
        ("REPLICA_DATABASE_URL", format!("{database}sslmode=require")),
        ("REPLICA_DATABASE_URL", format!("{database}sslmode=verify-ca")),
        ("REPLICA_DATABASE_URL", format!("{database}sslmode=verify-full&sslrootcert=/etc/ca.pem")),
        ("REPLICA_DATABASE_URL", format!("{database}sslmode=canary-in-a-setting")),
        ("REPLICA_DATABASE_URL", format!("{database}sslnegotiation=direct")),
        ("REPLICA_DATABASE_URL", format!("{database}channel_binding=require")),
        (
            "REPLICA_DATABASE_URL",
            "host=127.0.0.1 user=a password=canary-in-a-setting sslmode=require".to_owned(),
        ),
        ("DATABASE_URL", format!("{database}sslmode=require")),
        ("DATABASE_URL", format!("{database}sslmode=verify-full")),
    ];
    block_on(async {
        for (name, program) in programs()? {
            let own =
                cases.iter().filter(|(setting, _)| name == "command-service" || *setting != "DATABASE_URL");
            for (setting, url) in own {
                for arguments in COMMANDS {
                    let output = run(&program, arguments, with(&fine(), [(*setting, url.clone())])).await?;
                    check_refused(name, &output, setting, url)?;
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    ensure!(said.contains("TLS is not supported by this build"), "{url}: {said}");
                }
            }
            for plain in ["sslmode=disable", "sslmode=prefer"] {
                let environment = with(&fine(), [("REPLICA_DATABASE_URL", format!("{database}{plain}"))]);
                effective(&program, &environment, &[]).await?;
            }
        }
        Ok(())
    })
}

#[test]
fn settings_show_the_log_level_that_the_service_would_use() -> Result<()> {
    block_on(async {
        for (_, program) in programs()? {
            let shown = effective(&program, &fine(), &[]).await?;
            assert_eq!(shown["PARKING__LOG__LEVEL"], ("info".to_owned(), "default".to_owned()));

            let environment = with(&fine(), [("PARKING__LOG__LEVEL", "DEBUG".to_owned())]);
            let shown = effective(&program, &environment, &[]).await?;
            assert_eq!(shown["PARKING__LOG__LEVEL"], ("debug".to_owned(), "environment".to_owned()));
        }
        Ok(())
    })
}

#[test]
fn a_config_file_that_is_no_toml_is_refused_with_the_place_and_without_its_text() -> Result<()> {
    let file = servers()?.new_directory("configuration")?.join("config.toml");
    fs::write(&file, format!("[http]\nport = 1\ndatabase_url = {SECRET}\n"))?;
    let file = file.to_string_lossy().into_owned();
    block_on(async {
        for (name, program) in programs()? {
            let output = run(&program, &["--config", &file], fine()).await?;
            check_refused(name, &output, "--config", "a value without quotes")?;
            let said = String::from_utf8(output.stderr)?;
            ensure!(said.contains("line 3, column 16"), "{said}");
        }
        Ok(())
    })
}
