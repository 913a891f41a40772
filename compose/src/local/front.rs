//! The gateway of this checkout, and where requests go in.

use std::path::Path;

use anyhow::{Context, Result, bail};
use stack::{
    Gateway, Programs,
    gateway::Upstreams,
    http::{self, Answer},
    wait,
};

use super::{
    Health, Part, Stack,
    health::PROBE_LIMIT,
    service::{POLL, READY_LIMIT},
};

impl Stack {
    pub(crate) fn gateway(&self) -> Result<Gateway> {
        Gateway::at(&self.server_directory(Part::Gateway))
    }

    /// Starts the gateway. One that runs already is told where the processes are now.
    pub(crate) fn start_gateway(&self, programs: &Programs) -> Result<()> {
        let nginx: &Path = programs.nginx.as_deref().context("nginx is not installed")?;
        let address = |part| format!("127.0.0.1:{}", self.port(part));
        let upstreams = Upstreams {
            reads: self.shape().readers().into_iter().map(address).collect(),
            commands: vec![address(Part::CommandService)],
        };
        self.gateway()?.start(nginx, self.port(Part::Gateway), &upstreams)
    }

    /// Waits until a read that goes through the gateway is answered by a process behind it.
    pub(crate) fn wait_for_gateway(&self) -> Result<()> {
        let readers = self.shape().readers();
        let expected = readers.iter().all(|reader| self.is_running(*reader));
        let mut last = Health::Silent;
        let ready = wait::until(READY_LIMIT, POLL, || {
            last = self.gateway_health();
            let enough = if expected { last == Health::Ready } else { last != Health::Silent };
            Ok(enough.then_some(()))
        })?;
        match (ready, last) {
            (Some(()), _) => Ok(()),
            (None, Health::Silent) => bail!("gateway does not answer after {READY_LIMIT:?}"),
            _ => {
                let names: Vec<String> = readers.into_iter().map(Part::name).collect();
                bail!("gateway is not ready after {READY_LIMIT:?}: it waits for {}", names.join(", "))
            }
        }
    }

    /// A process behind it answers `/livez` as soon as it runs.
    pub(crate) fn gateway_health(&self) -> Health {
        match http::get(&format!("{}/livez", self.http_url(Part::Gateway)), PROBE_LIMIT) {
            Some(Answer { status: 200, .. }) => Health::Ready,
            Some(_) => Health::Waiting(Vec::new()),
            None => Health::Silent,
        }
    }

    /// The address that takes commands.
    pub(crate) fn commands_url(&self) -> String {
        self.http_url(if self.shape().gateway { Part::Gateway } else { Part::CommandService })
    }

    /// The address that answers reads.
    pub(crate) fn reads_url(&self) -> String {
        let reader = self.shape().readers().first().copied().unwrap_or(Part::CommandService);
        self.http_url(if self.shape().gateway { Part::Gateway } else { reader })
    }
}
