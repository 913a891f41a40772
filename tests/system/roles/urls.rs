//! docs/configuration.md says which role and which command needs which URL; these tests compare it with the programs.

use std::{collections::BTreeMap, fs, io::ErrorKind, net::TcpListener, path::Path};

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, Shape, program::Run, servers::servers, service::Service, with_pair};

use crate::{
    programs,
    settings::{block_on, check_refused, fine},
};

const URLS: [&str; 3] = ["DATABASE_URL", "REPLICA_DATABASE_URL", "RABBITMQ_BROKER_URL"];

/// How a role or a command uses a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Needed,
    IfSet,
    NotUsed,
}

/// The rows of the table: what runs, and how it uses each URL.
fn table() -> Result<BTreeMap<String, [Use; 3]>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    let document = fs::read_to_string(root.join("docs/configuration.md"))?;
    let section = document.split("\n## Which URL is needed when\n").nth(1).context("no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut table = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| run")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [runs, uses @ ..] = &cells[..] else { continue };
        let uses = uses.iter().map(|cell| match *cell {
            "needed" => Ok(Use::Needed),
            "if set" => Ok(Use::IfSet),
            "not used" => Ok(Use::NotUsed),
            other => Err(anyhow::anyhow!("{row}: {other}")),
        });
        let uses: [Use; 3] =
            uses.collect::<Result<Vec<_>>>()?.try_into().map_err(|_| anyhow::anyhow!("{row}"))?;
        for name in runs.split(", ") {
            ensure!(table.insert(name.to_owned(), uses).is_none(), "{name} stands there twice");
        }
    }
    Ok(table)
}

/// A server that nobody may connect to.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    fn url(&self, setting: &str) -> Result<String> {
        let (scheme, port) =
            (if setting == URLS[2] { "amqp" } else { "postgres" }, self.0.local_addr()?.port());
        Ok(format!("{scheme}://nobody:secret@127.0.0.1:{port}/nothing"))
    }

    fn check(&self, what: &str) -> Result<()> {
        match self.0.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            met => anyhow::bail!("{what}: somebody connects: {met:?}"),
        }
    }
}

/// Every command with what else it needs, by its name in the table.
async fn commands(pair: &Pair) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let client = pair.client();
    let (kept, gone) =
        (client.created("Kept").await?.uuid.to_string(), client.created("Gone").await?.uuid.to_string());
    let lines = [
        ("create-parking-slot", "create-parking-slot --name A".to_owned()),
        ("create-parking-slot --wait", "create-parking-slot --name A --wait".to_owned()),
        ("update-parking-slot", format!("update-parking-slot {kept} --name B")),
        ("delete-parking-slot", format!("delete-parking-slot {gone}")),
        ("import-parking-slots", "import-parking-slots -".to_owned()),
        ("parking-slot-list", "parking-slot-list".to_owned()),
        ("parking-slot-details", format!("parking-slot-details {kept}")),
        ("export-parking-slots", "export-parking-slots".to_owned()),
        ("replay", "replay --from 1".to_owned()),
        ("verify", "verify".to_owned()),
        ("verify --repair", "verify --repair".to_owned()),
        ("migrate", "migrate".to_owned()),
        ("healthcheck", "healthcheck".to_owned()),
        ("settings", "settings".to_owned()),
    ];
    system_tests::assert_level(pair).await?;
    Ok(lines.into_iter().map(|(name, line)| (name, line.split(' ').map(str::to_owned).collect())).collect())
}

fn command(pair: &Pair, line: &[String]) -> Result<Run> {
    let arguments: Vec<&str> = line.iter().map(String::as_str).collect();
    let address = pair.command_service().address().get();
    let port = address.rsplit(':').next().context("no port")?;
    let run = Run::command_service(pair, &arguments)?.with("PARKING__HTTP__PORT", Some(port));
    Ok(run.fed(b"name,status\nC,available\n"))
}

#[test]
fn the_table_of_urls_has_every_role_and_every_command() -> Result<()> {
    let table = table()?;
    let help = block_on(async {
        let program = servers()?.binaries.command_service.clone();
        Ok(String::from_utf8(programs::run(&program, &["--help"], []).await?.stdout)?)
    })?;
    let commands = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let commands = commands.context("no commands")?.lines().filter_map(|line| line.split_whitespace().next());
    for name in commands.filter(|name| !["serve", "help"].contains(name)) {
        ensure!(table.contains_key(name), "{name} is not in the table");
    }
    for role in ["command", "query", "relay"] {
        ensure!(table.contains_key(&format!("role {role}")), "the role {role} is not in the table");
    }
    Ok(())
}

#[test]
fn each_command_asks_for_the_urls_that_it_needs_and_connects_to_no_other_server() -> Result<()> {
    with_pair(async |pair| {
        let lines = commands(pair).await?;
        let mut tried = 0;
        for (name, uses) in table()?.iter().filter(|(name, _)| !name.starts_with("role ")) {
            let line = &lines.get(name.as_str()).with_context(|| format!("how is {name} run?"))?[..];
            // Refused first, so that nothing has been changed when it is carried out.
            for (url, _) in URLS.iter().zip(uses).filter(|(_, used)| **used == Use::Needed) {
                let ended = command(pair, line)?.with(url, None).end().await?.expect(2)?;
                let wanted = format!("command-service: {url}: must be set for {name}\n");
                let general = format!("command-service: {url}: must be set for {}\n", line[0]);
                ensure!([wanted, general].contains(&ended.errors), "{name}: {}", ended.errors);
                ensure!(ended.output.is_empty(), "{name} prints something");
                tried += 1;
            }
            let trap = Trap::set()?;
            let mut run = command(pair, line)?;
            for (url, used) in URLS.iter().zip(uses) {
                run = match used {
                    Use::Needed => run,
                    Use::IfSet => run.with(url, None),
                    Use::NotUsed => run.with(url, Some(&trap.url(url)?)),
                };
            }
            run.end().await?.expect(0).with_context(|| format!("{name} with what it needs"))?;
            trap.check(name)?;
            if name != "delete-parking-slot" {
                let mut alone = command(pair, line)?;
                for (url, _) in URLS.iter().zip(uses).filter(|(_, used)| **used != Use::Needed) {
                    alone = alone.with(url, None);
                }
                alone.end().await?.expect(0).with_context(|| format!("{name} with no other URL"))?;
            }
        }
        ensure!(tried > 10, "only {tried} URLs are needed");
        Ok(())
    })
}

#[test]
fn each_role_asks_for_the_urls_that_it_needs_and_starts_with_no_other() -> Result<()> {
    let servers_only = Shape { command_services: 0, event_consumers: 0, started: false, ..Shape::default() };
    servers_only.run(async |pair| {
        let program = servers()?.binaries.command_service.clone();
        for (name, uses) in table()?.iter().filter(|(name, _)| name.starts_with("role ")) {
            let role = name.trim_start_matches("role ");
            let mut alone = pair.command_environment();
            for (url, used) in URLS.iter().zip(uses) {
                if *used != Use::Needed {
                    alone.retain(|(setting, _)| setting != url);
                    continue;
                }
                let mut environment = fine();
                environment.retain(|(setting, _)| setting != url);
                let output = programs::run(&program, &["serve", "--roles", role], environment).await?;
                check_refused("command-service", &output, url, name)?;
                let said = String::from_utf8(output.stderr)?;
                ensure!(said.ends_with(&format!("must be set for the {name}\n")), "{said}");
            }
            let service =
                Service::new(name.clone(), program.clone(), alone, servers()?.new_directory("role")?)
                    .with_arguments(&["serve", "--roles", role]);
            service.start().await?;
            service.client().get_path("/livez").await?.expect(200)?;
            service.stop().await?;
        }
        Ok(())
    })
}

#[test]
fn a_process_with_several_roles_names_all_that_need_a_url() -> Result<()> {
    block_on(async {
        let program = servers()?.binaries.command_service.clone();
        let cases: [(&[&str], &str, &str); 4] = [
            (&["serve"], "DATABASE_URL", "the roles command and relay"),
            (&["serve"], "REPLICA_DATABASE_URL", "the role query"),
            (&["serve", "--roles", "query,relay"], "DATABASE_URL", "the role relay"),
            (&["serve", "--roles", "relay,command"], "RABBITMQ_BROKER_URL", "the role relay"),
        ];
        for (arguments, url, roles) in cases {
            let mut environment = fine();
            environment.retain(|(setting, _)| setting != url);
            let output = programs::run(&program, arguments, environment).await?;
            check_refused("command-service", &output, url, roles)?;
            assert_eq!(
                String::from_utf8(output.stderr)?,
                format!("command-service: {url}: must be set for {roles}\n")
            );
        }
        Ok(())
    })
}

#[test]
fn roles_that_are_empty_unknown_or_doubled_are_wrong_usage_that_names_the_roles() -> Result<()> {
    block_on(async {
        let program = servers()?.binaries.command_service.clone();
        for roles in ["", "commands", "command,command", "query,", "Command", "command, query"] {
            let output = programs::run(&program, &["serve", "--roles", roles], fine()).await?;
            let said = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(2), "{roles:?}: {said}");
            ensure!(said.contains("one or more of command, query and relay"), "{roles:?}: {said}");
        }
        Ok(())
    })
}

#[test]
fn the_settings_are_shown_where_no_url_is_set() -> Result<()> {
    block_on(async {
        let program = servers()?.binaries.command_service.clone();
        let shown = programs::run(&program, &["settings"], []).await?;
        let text = String::from_utf8(shown.stdout)?;
        ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        let as_json = String::from_utf8(programs::run(&program, &["settings", "--json"], []).await?.stdout)?;
        for url in URLS {
            ensure!(text.contains(&format!("{url} = [not set] (default)\n")), "{text}");
            let line = format!("{{\"name\":\"{url}\",\"value\":null,\"source\":\"default\"}}\n");
            ensure!(as_json.contains(&line), "{as_json}");
        }
        Ok(())
    })
}
