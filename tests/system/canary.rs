//! Passwords that would be recognised anywhere, and that are nowhere: in no log, however much is logged, in no answer,
//! in nothing that a command prints.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::json;
use stack::Role;
use system_tests::{
    Call, Client, Pair, RECOVERY, Shape, assert_level, eventually, servers::servers, service::Service,
};

use crate::programs::{run, with};

const PRIMARY: &str = "Canary/primary:7%@x";
const READER: &str = "Canary/reader:8%@x";
const CONSUMER: &str = "Canary/consumer:9%@x";
const BROKER: &str = "Canary/broker:6%@x";
const WRONG: &str = "Canary/wrong:5%@x";

const SECRETS: [&str; 5] = [PRIMARY, READER, CONSUMER, BROKER, WRONG];

/// Every way in which a program may print a text without meaning to.
fn spellings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let joined =
        |separator: &str, form: fn(&u8) -> String| bytes.iter().map(form).collect::<Vec<_>>().join(separator);
    let mut spellings = vec![
        secret.to_owned(),
        percent_encoded(secret),
        percent_encoded(secret).to_lowercase(),
        secret.replace('%', "%25").replace('@', "%40"),
        secret.replace('/', "\\/"),
        joined(", ", u8::to_string),
        joined(",", u8::to_string),
        joined("", |byte| format!("{byte:02x}")),
        joined("", |byte| format!("{byte:02X}")),
        joined(" ", |byte| format!("{byte:02x}")),
        joined(", ", |byte| format!("0x{byte:02x}")),
    ];
    // Within a longer text, Base64 begins anywhere: only what does not depend on the neighbours can be looked for.
    for before in 0..3 {
        let text = [&vec![0; before], bytes].concat();
        let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        spellings.push(STANDARD_NO_PAD.encode(&text)[first..last].to_owned());
        spellings.push(URL_SAFE_NO_PAD.encode(&text)[first..last].to_owned());
    }
    spellings
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte.is_ascii_alphanumeric() {
            true => encoded.push(char::from(byte)),
            false => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
        encoded
    })
}

/// What was said, and by whom.
#[derive(Debug, Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, who: impl Into<String>, text: impl Into<String>) {
        self.0.push((who.into(), text.into()));
    }

    /// None of it holds a secret in any spelling.
    fn check(&self) -> Result<()> {
        for (secret, spelling) in
            SECRETS.iter().flat_map(|secret| spellings(secret).into_iter().map(move |s| (secret, s)))
        {
            for (who, text) in &self.0 {
                let Some(at) = text.find(&spelling) else { continue };
                let line = text[..at].rsplit('\n').next().unwrap_or_default();
                anyhow::bail!("{who} shows {secret} as {spelling} behind: {line}");
            }
        }
        Ok(())
    }
}

/// The services' settings with passwords that are canaries.
struct Settings {
    commands: Vec<(String, String)>,
    consumer: Vec<(String, String)>,
    /// The same with passwords that the servers do not know.
    wrong: Vec<(String, String)>,
}

impl Settings {
    async fn provide(pair: &Pair) -> Result<Self> {
        let user = format!("canary_{}", pair.primary.name);
        let links = &pair.links;
        let database = |database: &system_tests::database::Database, port, secret| {
            format!("postgres://{user}_{}@127.0.0.1:{port}/{}", secret, database.name)
        };
        let login = |kind: &str, secret: &str| format!("{kind}:{}", percent_encoded(secret));
        let member =
            async |database: &system_tests::database::Database, kind: &str, role: Role, secret: &str| {
                let sql =
                    format!("CREATE ROLE {user}_{kind} LOGIN PASSWORD '{secret}' IN ROLE {}", role.name());
                database.sql().await?.batch_execute(&sql).await.context("no role")
            };
        member(&pair.primary, "primary", Role::CommandService, PRIMARY).await?;
        member(&pair.replica, "reader", Role::CommandServiceReader, READER).await?;
        member(&pair.replica, "consumer", Role::EventConsumer, CONSUMER).await?;
        pair.broker.add_user(&user, BROKER).await?;
        let broker = |port, secret: &str| {
            format!("amqp://{user}:{}@127.0.0.1:{port}/{}", percent_encoded(secret), pair.broker.name)
        };
        let primary =
            |secret| database(&pair.primary, links.command_primary.port(), login("primary", secret));
        let reader = |secret| database(&pair.replica, links.command_replica.port(), login("reader", secret));
        let consumer =
            |secret| database(&pair.replica, links.consumer_replica.port(), login("consumer", secret));
        let own = [
            ("RUST_BACKTRACE", "full".to_owned()),
            ("PARKING__LOG__LEVEL", "trace".to_owned()),
            ("PARKING__HTTP__PORT", "0".to_owned()),
            ("PARKING__CONSUMER__HTTP_PORT", "0".to_owned()),
        ];
        let commands = with(&[], own.clone());
        let commands = with(
            &commands,
            [
                ("DATABASE_URL", primary(PRIMARY)),
                ("REPLICA_DATABASE_URL", reader(READER)),
                ("RABBITMQ_BROKER_URL", broker(links.relay_broker.port(), BROKER)),
            ],
        );
        let consumer = with(
            &with(&[], own),
            [
                ("REPLICA_DATABASE_URL", consumer(CONSUMER)),
                ("RABBITMQ_BROKER_URL", broker(links.consumer_broker.port(), BROKER)),
            ],
        );
        let wrong = with(
            &commands,
            [
                ("DATABASE_URL", primary(WRONG)),
                ("REPLICA_DATABASE_URL", reader(WRONG)),
                ("RABBITMQ_BROKER_URL", broker(links.relay_broker.port(), WRONG)),
            ],
        );
        Ok(Self { commands, consumer, wrong })
    }

    /// One service of each kind for each form of logs, and one of each kind that nobody lets in.
    fn services(&self) -> Result<Vec<Service>> {
        let servers = servers()?;
        let mut services = Vec::new();
        for (kind, settings, program) in [
            ("command-service", &self.commands, &servers.binaries.command_service),
            ("event-consumer", &self.consumer, &servers.binaries.event_consumer),
            ("a command-service with wrong passwords", &self.wrong, &servers.binaries.command_service),
            ("an event-consumer with wrong passwords", &self.wrong, &servers.binaries.event_consumer),
        ] {
            for format in ["json", "text"] {
                let environment = with(settings, [("PARKING__LOG__FORMAT", format.to_owned())]);
                let directory = servers.new_directory("canary")?;
                services.push(Service::new(
                    format!("{kind}, {format}"),
                    program.clone(),
                    environment,
                    directory,
                ));
            }
        }
        Ok(services)
    }
}

#[test]
fn no_password_is_in_any_log_answer_or_output() -> Result<()> {
    let servers_only = Shape { command_services: 0, event_consumers: 0, started: false, ..Shape::default() };
    servers_only.run(async |pair| {
        let settings = Settings::provide(pair).await?;
        let services = settings.services()?;
        let mut said = Said::default();
        for service in &services {
            service.start().await?;
        }
        let (good, wrong) = services.split_at(4);
        for service in good {
            ready(&service.client()).await?;
        }

        walk_through(&good[0].client(), &mut said).await?;
        go_through_outages(pair, good, &mut said).await?;
        for service in wrong {
            let answer = Call::new("GET", "/readyz").send(&service.address()).await?.expect(503)?;
            said.add(service.name(), answer.text);
        }
        for service in good {
            service.stop().await?;
            service.start().await?;
            ready(&service.client()).await?;
        }
        run_commands(&settings, &mut said).await?;
        assert_level(pair).await?;

        for service in &services {
            let log = service.log()?;
            ensure!(log.contains("DEBUG") || log.contains("TRACE"), "{} logs little: {log}", service.name());
            said.add(format!("the log of {}", service.name()), log);
        }
        said.check()
    })
}

async fn ready(client: &Client) -> Result<()> {
    eventually(RECOVERY, "the service is ready", async || {
        let reply = client.readyz().await?;
        ensure!(reply.body["status"] == "ready", "it says {}", reply.text);
        Ok(())
    })
    .await
}

/// Some of every kind of call; what was answered, headers and all.
async fn walk_through(client: &Client, said: &mut Said) -> Result<()> {
    let created = client.create("Slot 1").await?;
    said.add("a create", format!("{created:?}"));
    let uuid = created.body["uuid"].as_str().unwrap_or("0198c5a2-0000-7c11-9f0a-6c2f7a2f6f55").parse()?;
    for reply in [
        client.change(uuid, json!({ "name": "Slot 2" })).await?,
        client.change(uuid, json!({ "x": 1 })).await?,
        client.get(uuid).await?,
        client.list("").await?,
        client.list("?x=1").await?,
        client.summary().await?,
        client.readyz().await?,
        client.get_path("/health").await?,
        client.get_path("/nowhere").await?,
        client.delete(uuid).await?,
    ] {
        said.add("an answer", format!("{reply:?}"));
    }
    Ok(())
}

/// Each link is cut and comes back, with calls meanwhile.
async fn go_through_outages(pair: &Pair, services: &[Service], said: &mut Said) -> Result<()> {
    let links = &pair.links;
    for link in [
        &links.command_primary,
        &links.command_replica,
        &links.relay_broker,
        &links.consumer_broker,
        &links.consumer_replica,
    ] {
        link.cut().await;
        walk_through(&services[0].client(), said).await?;
        link.restore()?;
        for service in services {
            ready(&service.client()).await?;
        }
    }
    Ok(())
}

/// Commands at a terminal, logging all they can, with passwords that are right and wrong.
async fn run_commands(settings: &Settings, said: &mut Said) -> Result<()> {
    const OF_COMMANDS: [&[&str]; 7] = [
        &["settings"],
        &["settings", "--json"],
        &["migrate"],
        &["create-parking-slot", "--name", "Slot 3"],
        &["parking-slot-list"],
        &["parking-slot-details", "0198c5a2-0000-7c11-9f0a-6c2f7a2f6f55"],
        &["healthcheck"],
    ];
    const OF_CONSUMER: [&[&str]; 4] =
        [&["settings"], &["settings", "--json"], &["migrate"], &["healthcheck"]];
    let binaries = &servers()?.binaries;
    let good = [(&settings.commands, 0), (&settings.wrong, 3)];
    for (environment, status) in good {
        for arguments in OF_COMMANDS {
            let output = run(&binaries.command_service, arguments, environment.clone()).await?;
            if arguments[0] == "create-parking-slot" {
                assert_eq!(output.status.code(), Some(status), "{output:?}");
            }
            said.add(arguments.join(" "), String::from_utf8_lossy(&output.stdout));
            said.add(arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
    }
    for environment in [&settings.consumer, &settings.wrong] {
        for arguments in OF_CONSUMER {
            let output = run(&binaries.event_consumer, arguments, environment.clone()).await?;
            said.add(arguments.join(" "), String::from_utf8_lossy(&output.stdout));
            said.add(arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
    }
    // TakenSubmission for a URL and not understood.
    let broken = with(
        &settings.commands,
        [("DATABASE_URL", format!("postgres://a:{}@127.0.0.1:x/a", percent_encoded(WRONG)))],
    );
    let output = run(&binaries.command_service, &["settings"], broken).await?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    said.add("a URL that is none", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_password_is_found_in_every_spelling() -> Result<()> {
    let plain = format!("\0user\0{PRIMARY}");
    let cases = [
        (format!("Plain {{ password: {PRIMARY:?} }}"), "as Debug of a text"),
        (format!("{:?}", plain.as_bytes()), "as Debug of bytes"),
        (STANDARD_NO_PAD.encode(&plain), "as Base64 of a login"),
        (STANDARD_NO_PAD.encode(format!("x{plain}y")), "the same a byte later"),
        (format!("postgres://a:{}@h/d", percent_encoded(PRIMARY)), "in a URL"),
        (plain.bytes().map(|byte| format!("{byte:02x}")).collect(), "as hexadecimal"),
    ];

    for (text, reason) in cases {
        let mut said = Said::default();
        said.add("a test", text);
        assert!(said.check().is_err(), "it is not found {reason}");
    }

    let mut said = Said::default();
    said.add("a test", "postgres://canary_primary@h/Canary/primary");
    said.check()
}
