//! `compose/cqrs.yml`, held against what `cargo stack` starts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use stack::{Part, Port, Setting, Shape};
use system_tests::engine::{
    profile::{self, SCALED},
    project::variable,
};

/// What the file's passwords are where nobody sets another.
pub(super) const PASSWORD: &str = "parking";

/// What the file's key for messages is there.
const SIGNING_KEY: &str = "parking-signs-messages-with-this-key";
const SIGNING_KEY_VARIABLE: &str = "${PARKING_SIGNING_KEY:-parking-signs-messages-with-this-key}";

/// The file, with merges and variables resolved.
#[derive(Debug)]
pub(super) struct Compose(Value);

impl Compose {
    pub(super) fn parse(text: &str) -> Result<Self> {
        // The only variables, with their defaults.
        let mut text =
            text.replace("${PARKING_PASSWORD:-parking}", PASSWORD).replace(SIGNING_KEY_VARIABLE, SIGNING_KEY);
        for port in Port::ALL {
            let default = port.default_value().to_string();
            text = text.replace(&format!("${{{}:-{default}}}", variable(port)), &default);
        }
        Ok(Self(serde_saphyr::from_str(&text)?))
    }

    pub(super) fn environment(&self, service: &str) -> Result<BTreeMap<String, String>> {
        let environment = &self.service(service)?["environment"];
        let environment = environment.as_object().with_context(|| format!("{service} has no environment"))?;
        let text = |(name, value): (&String, &Value)| {
            Ok((name.clone(), value.as_str().with_context(|| format!("{name} is no text"))?.to_owned()))
        };
        environment.iter().map(text).collect()
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.0.to_string().contains("${"), "a variable that is not known here");
        self.check_names()?;
        for name in self.services()?.keys() {
            self.check_rights(name).with_context(|| format!("rights of {name}"))?;
        }
        for part in SCALED.parts() {
            self.check_ports(part).with_context(|| format!("ports of {part}"))?;
            let restart = &self.service(&part.name())?["restart"];
            ensure!(restart == "always", "after a crash of the engine, {part} starts {restart}");
        }
        for public in SCALED.servers().into_iter().chain([Part::Gateway]) {
            self.check_image(public).with_context(|| format!("image of {public}"))?;
        }
        for part in SCALED.services() {
            self.check_service(&part.name(), part)?;
            self.check_serving(part)?;
        }
        for part in SCALED.databases() {
            self.check_database(part).with_context(|| format!("{part}"))?;
            self.check_migration(part).with_context(|| format!("migrate-{part}"))?;
        }
        self.check_broker()?;
        self.check_profile()
    }

    /// Every part is there, and what only the profile has starts only with the profile.
    fn check_names(&self) -> Result<()> {
        let in_profile = json!([profile::PROFILE]);
        let services = self.services()?.iter();
        let (base, profile): (Vec<_>, Vec<_>) =
            services.partition(|(_, service)| service["profiles"].is_null());
        ensure!(profile.iter().all(|(_, service)| service["profiles"] == in_profile), "another profile");
        let names = |services: Vec<(&String, &Value)>| -> BTreeSet<String> {
            services.into_iter().map(|(name, _)| name.clone()).collect()
        };
        let (base, profile) = (names(base), names(profile));
        let migrations = ["migrate-primary", "migrate-replica"].map(str::to_owned);
        let due: BTreeSet<String> =
            Shape::default().parts().into_iter().map(Part::name).chain(migrations).collect();
        ensure!(base == due, "the services are {base:?}, not {due:?}");
        let due: BTreeSet<String> =
            profile::services().into_iter().chain([profile::MIGRATION.to_owned()]).collect();
        ensure!(profile == due, "the services of the profile are {profile:?}, not {due:?}");
        Ok(())
    }

    fn services(&self) -> Result<&Map<String, Value>> {
        self.0["services"].as_object().context("no services")
    }

    pub(super) fn service(&self, name: &str) -> Result<&Value> {
        let service = &self.0["services"][name];
        ensure!(service.is_object(), "there is no {name}");
        Ok(service)
    }

    /// What the engine is told; `containers::no_container_has_more_rights_than_it_needs` looks at the processes.
    fn check_rights(&self, name: &str) -> Result<()> {
        let service = self.service(name)?;
        for (key, due) in [
            ("read_only", json!(true)),
            ("cap_drop", json!(["ALL"])),
            ("security_opt", json!(["no-new-privileges:true"])),
        ] {
            ensure!(service[key] == due, "{key} is {}, not {due}", service[key]);
        }
        ensure!(service["mem_limit"].is_string(), "its memory has no limit");
        let own_user = !service["build"].is_null() || service["user"].is_string();
        ensure!(own_user, "it starts as root");
        Ok(())
    }

    /// A public image has the tag of one version. Of RabbitMQ, none that can stop delivering for ever.
    fn check_image(&self, server: Part) -> Result<()> {
        let is_database = server.database().is_some();
        let image = self.service(&server.name())?["image"].as_str().context("no image")?;
        let (_, tag) = image.split_once(':').context("no tag")?;
        let version: Vec<u32> =
            tag.split('-').next().unwrap_or_default().split('.').map(str::parse).collect::<Result<_, _>>()?;
        let (parts, what) = if is_database { (2, "a minor version") } else { (3, "a release") };
        ensure!(version.len() == parts, "{image} is not {what}");
        let stalls = server == Part::RabbitMq && version[..2] == [4, 3] && version[2] <= 5;
        ensure!(!stalls, "{image} has the fault rabbitmq-server 17317");
        Ok(())
    }

    fn check_ports(&self, part: Part) -> Result<()> {
        let published = &self.service(&part.name())?["ports"];
        ensure!(published.is_array() || published.is_null(), "{published}");
        let published: BTreeSet<&str> =
            published.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let own = Port::ALL.into_iter().filter(|port| port.part() == part);
        let due: BTreeSet<String> =
            own.map(|port| format!("127.0.0.1:{}:{}", port.default_value(), inner(port))).collect();
        ensure!(published.iter().copied().eq(due.iter().map(String::as_str)), "{published:?}, not {due:?}");
        Ok(())
    }

    /// The image and the settings of a service, or of the migration that it does.
    fn check_service(&self, name: &str, part: Part) -> Result<()> {
        self.check_program(name, part)?;
        self.check_settings(name, &settings(part))
    }

    pub(super) fn check_program(&self, name: &str, part: Part) -> Result<()> {
        let build = &self.service(name)?["build"];
        let due = json!({ "context": "..", "dockerfile": "compose/Dockerfile", "target": target(part) });
        ensure!(*build == due, "{name} is built from {build}, not {due}");
        Ok(())
    }

    pub(super) fn check_settings(&self, name: &str, due: &BTreeMap<String, String>) -> Result<()> {
        let found = self.environment(name)?;
        ensure!(found == *due, "{name} is told {found:#?}, not {due:#?}");
        Ok(())
    }

    /// How a service serves, and when it starts.
    fn check_serving(&self, part: Part) -> Result<()> {
        let (name, shape) = (part.name(), shape_of(part));
        self.check_command(&name, shape.arguments(part))?;
        self.check_order(&name, &shape.needs(part))
    }

    /// The default of the image where there are no arguments.
    pub(super) fn check_command(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let found = &self.service(name)?["command"];
        let due = if arguments.is_empty() { Value::Null } else { json!(arguments) };
        ensure!(*found == due, "{name} runs {found}, not {due}");
        Ok(())
    }

    /// A service starts when the broker is up and the databases that it needs have been migrated.
    pub(super) fn check_order(&self, name: &str, needs: &[Part]) -> Result<()> {
        let due: BTreeMap<String, Value> = needs
            .iter()
            .map(|needed| match needed.migrated_by() {
                Some(_) => {
                    (format!("migrate-{needed}"), json!({ "condition": "service_completed_successfully" }))
                }
                None => (needed.name(), json!({ "condition": "service_healthy" })),
            })
            .collect();
        let found = &self.service(name)?["depends_on"];
        ensure!(*found == json!(due), "{name} starts after {found}, not {due:?}");
        Ok(())
    }

    fn check_migration(&self, database: Part) -> Result<()> {
        let name = format!("migrate-{database}");
        let service = database.migrated_by().context("nobody migrates it")?;
        self.check_service(&name, service)?;
        let found = self.service(&name)?;
        let after = json!({ database.name(): { "condition": "service_healthy" } });
        ensure!(found["command"] == json!(["migrate"]), "it runs {}", found["command"]);
        ensure!(found["depends_on"] == after, "it starts after {}", found["depends_on"]);
        ensure!(found["ports"].is_null() && found["restart"] == "no", "it is no service");
        Ok(())
    }

    fn check_database(&self, part: Part) -> Result<()> {
        let mut environment = self.environment(&part.name())?;
        let (_, database) = part.database().context("no database")?;
        let side = if part == Part::Primary { "primary" } else { "replica" };
        ensure!(environment.remove("SIDE").as_deref() == Some(side), "SIDE is the other one's");
        ensure!(environment.remove("DATABASE").as_deref() == Some(database), "DATABASE is another one");
        ensure!(environment.values().all(|value| value == PASSWORD), "the passwords are not all the same");
        let due = roles_on(part).map(|role| format!("{}_PASSWORD", role.to_uppercase()));
        let due: BTreeSet<String> = due.chain(["POSTGRES_PASSWORD".to_owned()]).collect();
        ensure!(environment.keys().eq(&due), "it is told {:?}, not {due:?}", environment.keys());
        let check = &self.service(&part.name())?["healthcheck"]["test"];
        ensure!(check[0] == "CMD" && check[1] == "pg_isready", "its health check is {check}");
        Ok(())
    }

    fn check_broker(&self) -> Result<()> {
        let environment = self.environment(&Part::RabbitMq.name())?;
        let due = [("RABBITMQ_DEFAULT_PASS", PASSWORD), ("RABBITMQ_DEFAULT_USER", stack::rabbitmq::USER)];
        let due = due.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ensure!(environment == BTreeMap::from(due), "rabbitmq is told {environment:?}");
        let check = &self.service(&Part::RabbitMq.name())?["healthcheck"]["test"];
        ensure!(
            check[0] == "CMD" && check[1] == "rabbitmq-diagnostics",
            "the broker's health check is {check}"
        );
        Ok(())
    }
}

/// The roles with which the services come to a database.
pub(super) fn roles_on(part: Part) -> impl Iterator<Item = &'static str> {
    let settings = SCALED.services().into_iter().flat_map(|service| SCALED.settings(service));
    settings.filter_map(move |(_, setting)| match setting {
        Setting::Database(database, role) if database == part => Some(role.name()),
        _ => None,
    })
}

/// What a part is without the profile, it is with it.
fn shape_of(part: Part) -> Shape {
    if Shape::default().parts().contains(&part) { Shape::default() } else { SCALED }
}

/// What a service is told.
pub(super) fn settings(part: Part) -> BTreeMap<String, String> {
    let settings = shape_of(part).settings(part).into_iter();
    settings.map(|(name, setting)| (name.to_owned(), value(setting))).collect()
}

/// The target of the Dockerfile from which a service is built: there is one for each program.
pub(super) fn target(service: Part) -> String {
    match service {
        Part::EventConsumer(_) => Part::EVENT_CONSUMER.name(),
        _ => Part::CommandService.name(),
    }
}

/// What a port is inside of its container: the servers keep their usual ones.
pub(super) fn inner(port: Port) -> u16 {
    match port {
        Port::Http | Port::ConsumerHttp | Port::Gateway => port.default_value(),
        Port::Primary | Port::Replica => 5432,
        Port::Amqp => 5672,
        Port::Management => 15672,
    }
}

/// What a setting is among containers, which know each other by name. Their logs are read by programs.
fn value(setting: Setting) -> String {
    match setting {
        Setting::Database(part, role) => {
            let database = part.database().map(|(_, database)| database).unwrap_or_default();
            format!("postgres://{}:{PASSWORD}@{part}:{}/{database}", role.name(), inner(Port::Primary))
        }
        Setting::Broker => {
            let (user, part) = (stack::rabbitmq::USER, Part::RabbitMq);
            format!("amqp://{user}:{PASSWORD}@{part}:{}/%2f", inner(Port::Amqp))
        }
        Setting::SigningKey => SIGNING_KEY.to_owned(),
        Setting::Port(port) => port.default_value().to_string(),
        // Every container of command-service listens on the same port, and every one of event-consumer too.
        Setting::FurtherPort(Part::EventConsumer(_)) => value(Setting::Port(Port::ConsumerHttp)),
        Setting::FurtherPort(_) => value(Setting::Port(Port::Http)),
        Setting::ReplicaName(replica) => replica.replica_name().unwrap_or_default(),
        Setting::LogFormat => "json".to_owned(),
    }
}
