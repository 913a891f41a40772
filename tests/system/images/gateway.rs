//! What the profile `scaled` has beside the shape of `cargo stack`, and its gateway.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Part, Port};
use system_tests::engine::profile::{FURTHER, SCALED};

use super::{
    compose_file::{Compose, inner, settings},
    read,
};

/// Where the files of `compose/gateway/` are in the container.
const CONFIGURATION: &str = "/etc/parking-gateway";

/// What a process needs that only takes commands: no replica and no broker.
const FOR_COMMANDS: [&str; 3] = ["DATABASE_URL", "PARKING__HTTP__PORT", "PARKING__LOG__FORMAT"];

impl Compose {
    pub(super) fn check_profile(&self) -> Result<()> {
        let [command, relay] = FURTHER;
        let everything = settings(Part::CommandService);
        let needed = |(name, _): &(String, String)| FOR_COMMANDS.contains(&name.as_str());
        let for_commands: BTreeMap<String, String> = everything.clone().into_iter().filter(needed).collect();
        self.check_further(command, "command", &for_commands, &[Part::Primary])?;
        let servers = [Part::Primary, Part::REPLICA, Part::RabbitMq];
        self.check_further(relay, "relay", &everything, &servers)?;
        self.check_gateway().context("the gateway")
    }

    fn check_further(
        &self,
        name: &str,
        roles: &str,
        settings: &BTreeMap<String, String>,
        needs: &[Part],
    ) -> Result<()> {
        self.check_program(name, Part::CommandService)?;
        self.check_settings(name, settings)?;
        self.check_command(name, &["serve", "--roles", roles])?;
        self.check_order(name, needs)?;
        let service = self.service(name)?;
        ensure!(service["ports"].is_null(), "{name} publishes {}", service["ports"]);
        ensure!(service["restart"] == "always", "{name} starts {}", service["restart"]);
        Ok(())
    }

    /// It starts after the processes that it looks up, and again when one of them is replaced.
    fn check_gateway(&self) -> Result<()> {
        let service = self.service(&Part::Gateway.name())?;
        let file = format!("{CONFIGURATION}/nginx.conf");
        let command = json!(["nginx", "-e", "stderr", "-p", "/tmp", "-c", file]);
        ensure!(service["command"] == command, "it runs {}", service["command"]);
        let mounts = json!([format!("./gateway:{CONFIGURATION}:ro")]);
        ensure!(service["volumes"] == mounts, "it has {}", service["volumes"]);

        let port = inner(Port::Gateway);
        let listens = read("compose/gateway/listen.conf")?;
        ensure!(listens.lines().any(|line| line == format!("listen {port};")), "{listens}");
        let check = &service["healthcheck"]["test"];
        let asked = json!(format!("http://127.0.0.1:{port}/livez"));
        ensure!(check[0] == "CMD" && check[1] == "curl", "its health check is {check}");
        ensure!(check.as_array().and_then(|words| words.last()) == Some(&asked), "it asks {check}");

        let commands = [Part::CommandService.name(), FURTHER[0].to_owned()];
        let behind = SCALED.readers().into_iter().map(Part::name).chain(commands);
        let due: BTreeMap<String, Value> =
            behind.map(|name| (name, json!({ "condition": "service_healthy", "restart": true }))).collect();
        let found = &service["depends_on"];
        ensure!(*found == json!(due), "it starts after {found}, not {due:?}");
        let named = upstreams(&read("compose/gateway/upstreams.conf")?)?;
        ensure!(named.iter().eq(due.keys()), "it sends requests to {named:?}, not {due:?}");
        Ok(())
    }
}

/// The services that the file of upstreams names, each with the port on which it listens.
fn upstreams(text: &str) -> Result<BTreeSet<String>> {
    let addresses = text.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next());
    let port = format!(":{}", inner(Port::Http));
    let name = |address: &str| address.strip_suffix(&port).map(str::to_owned).context(address.to_owned());
    addresses.map(name).collect()
}
