//! Which ports the parts get.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use stack::{Part, Port, Shape};

/// Ports asked for on the command line.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PortFlags {
    /// Port of command-service [default: that of the last start, at first 8000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    http_port: Option<u16>,
    /// Port of event-consumer [default: that of the last start, at first 8001]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    consumer_http_port: Option<u16>,
    /// Port of the primary [default: that of the last start, at first 5434]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    primary_port: Option<u16>,
    /// Port of the replica [default: that of the last start, at first 5435]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    replica_port: Option<u16>,
    /// Port of the broker [default: that of the last start, at first 5673]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    amqp_port: Option<u16>,
    /// Port of the broker's management [default: that of the last start, at first 15673]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    management_port: Option<u16>,
    /// Port of the gateway [default: that of the last start, at first 8080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    gateway_port: Option<u16>,
}

impl PortFlags {
    fn of(&self, port: Port) -> Option<u16> {
        match port {
            Port::Http => self.http_port,
            Port::ConsumerHttp => self.consumer_http_port,
            Port::Primary => self.primary_port,
            Port::Replica => self.replica_port,
            Port::Amqp => self.amqp_port,
            Port::Management => self.management_port,
            Port::Gateway => self.gateway_port,
        }
    }
}

/// The port of every purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ports(BTreeMap<Port, u16>);

impl Default for Ports {
    fn default() -> Self {
        Self(Port::ALL.into_iter().map(|port| (port, port.default_value())).collect())
    }
}

impl Ports {
    pub(crate) fn get(&self, port: Port) -> u16 {
        self.0.get(&port).copied().unwrap_or_else(|| port.default_value())
    }

    /// The ports to use from now on: what the flags say, or else what they were. A part that runs keeps its own. Two
    /// parts of this shape have no port in common.
    pub(crate) fn choose(
        &self,
        flags: &PortFlags,
        shape: Shape,
        runs: impl Fn(Part) -> bool,
    ) -> Result<Self> {
        let parts = shape.parts();
        let mut chosen: BTreeMap<Port, u16> = BTreeMap::new();
        for port in Port::ALL {
            let current = self.get(port);
            let value = match flags.of(port) {
                Some(asked) if runs(port.part()) && asked != current => bail!(
                    "{} runs on port {current} already: stop it before you give it another {}",
                    port.part(),
                    port.flag()
                ),
                Some(asked) => asked,
                None => current,
            };
            let both_are_used = |other: &Port| [*other, port].iter().all(|port| parts.contains(&port.part()));
            let same = chosen.iter().find(|(other, taken)| **taken == value && both_are_used(other));
            if let Some((other, _)) = same {
                bail!("{} and {} are both {value}", other.flag(), port.flag());
            }
            chosen.insert(port, value);
        }
        Ok(Self(chosen))
    }

    /// The flags that would ask for these ports, as far as they are neither the usual ones nor asked for by `flags`.
    pub(crate) fn remembered(&self, flags: &PortFlags) -> Vec<String> {
        let unusual = |port: &Port| self.get(*port) != port.default_value() && flags.of(*port).is_none();
        let flag = |port: Port| format!("{} {}", port.flag(), self.get(port));
        Port::ALL.into_iter().filter(unusual).map(flag).collect()
    }

    /// Fails with the name of the flag when another program has a port of `part` that has one.
    pub(crate) fn check_free(&self, part: Part) -> Result<()> {
        for port in Port::ALL.into_iter().filter(|port| port.part() == part) {
            let value = self.get(port);
            ensure!(
                stack::ports::is_free(value),
                "port {value}, for {part}, is taken: choose another with `cargo stack up {} PORT`",
                port.flag()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: Part) -> bool {
        false
    }

    #[test]
    fn ports_stay_until_another_is_asked_for() {
        let flags = PortFlags { http_port: Some(9000), primary_port: Some(6000), ..PortFlags::default() };
        let earlier = Ports::default().choose(&flags, Shape::default(), nothing).expect("ports");

        let again = earlier.choose(&PortFlags::default(), Shape::default(), nothing).expect("ports");
        let back = PortFlags { http_port: Some(8000), ..PortFlags::default() };
        let back = earlier.choose(&back, Shape::default(), nothing).expect("ports");

        assert_eq!(again, earlier);
        assert_eq!((back.get(Port::Http), back.get(Port::Primary)), (8000, 6000));
        assert_eq!(back.remembered(&PortFlags::default()), ["--primary-port 6000"]);
    }

    #[test]
    fn what_runs_keeps_its_port() {
        let flags = PortFlags { primary_port: Some(6000), ..PortFlags::default() };
        let running = Ports::default().choose(&flags, Shape::default(), nothing).expect("ports");
        let primary_runs = |part| part == Part::Primary;

        let same = running.choose(&PortFlags::default(), Shape::default(), primary_runs).expect("ports");
        let other = running.choose(
            &PortFlags { primary_port: Some(6001), ..PortFlags::default() },
            Shape::default(),
            primary_runs,
        );

        assert_eq!(same.get(Port::Primary), 6000);
        assert!(other.expect_err("refused").to_string().contains("--primary-port"));
    }

    #[test]
    fn one_port_is_not_given_twice() {
        let flags = PortFlags { amqp_port: Some(8000), ..PortFlags::default() };

        let refused =
            Ports::default().choose(&flags, Shape::default(), nothing).expect_err("refused").to_string();

        assert_eq!(refused, "--http-port and --amqp-port are both 8000");
    }

    #[test]
    fn a_port_of_a_part_that_is_not_there_is_free() {
        let flags = PortFlags { http_port: Some(8080), ..PortFlags::default() };
        let with_gateway = Shape { gateway: true, ..Shape::default() };

        let refused =
            Ports::default().choose(&flags, with_gateway, nothing).expect_err("refused").to_string();

        assert_eq!(refused, "--http-port and --gateway-port are both 8080");
        Ports::default().choose(&flags, Shape::default(), nothing).expect("there is no gateway");
    }
}
