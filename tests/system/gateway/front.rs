//! A gateway with its clients' side.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use stack::{Gateway, Programs, gateway::Upstreams, ports, programs::Wanted};
use system_tests::servers::servers;

use super::stand_in::StandIn;

/// Longer than the gateway may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A running gateway in front of stand-ins.
pub(super) struct Front {
    gateway: Gateway,
    pub(super) port: u16,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Front {
    /// Starts nginx by the code that `cargo stack` starts it with.
    pub(super) fn start(reads: &[&StandIn], commands: &[&StandIn]) -> Result<Self> {
        let addresses = |processes: &[&StandIn]| processes.iter().map(|process| process.address()).collect();
        Self::before(Upstreams { reads: addresses(reads), commands: addresses(commands) })
    }

    pub(super) fn before(upstreams: Upstreams) -> Result<Self> {
        let programs = Programs::find(Wanted::ServersAndGateway)
            .map_err(|missing| anyhow!("missing packages: {}", missing.0.join(", ")))?;
        let nginx = programs.nginx.context("no nginx")?;
        let gateway = Gateway::at(&servers()?.new_directory("gateway")?.join("gateway"))?;
        let port = ports::free()?;
        gateway.start(&nginx, port, &upstreams)?;
        Ok(Self { gateway, port })
    }

    /// Sends a request with these header lines and no body.
    pub(super) fn ask(&self, method: &str, target: &str, headers: &str) -> Result<Answer> {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"))
    }

    /// Sends a request with a body.
    pub(super) fn tell(&self, method: &str, target: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Request-Id: mine\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends bytes and reads until the gateway closes the connection.
    pub(super) fn send(&self, bytes: &str) -> Result<Answer> {
        send(self.port, bytes)
    }

    /// A connection to it.
    pub(super) fn connect(&self) -> Result<TcpStream> {
        connect(self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.gateway.stop();
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends bytes to a port of this machine and reads until the connection is closed.
pub(super) fn send(port: u16, bytes: &str) -> Result<Answer> {
    let mut stream = connect(port)?;
    // A request may be refused before it was sent whole.
    let _ = stream.write_all(bytes.as_bytes());
    read(stream)
}

/// Reads an answer until the connection is closed.
pub(super) fn read(mut stream: TcpStream) -> Result<Answer> {
    let mut text = Vec::new();
    let ended = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) =
        text.split_once("\r\n\r\n").with_context(|| format!("no answer: {ended:?} {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status: {head}"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

impl Answer {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Checks that it is the gateway's own problem, with all that every problem of the services has.
    pub(super) fn expect_problem(&self, status: u16, name: &str) -> Result<Value> {
        ensure!(self.status == status, "{name} was expected: {self:?}");
        let problem: Value = serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))?;
        ensure!(problem["type"] == format!("/problems/{name}"), "{name} was expected: {self:?}");
        ensure!(problem["status"] == status && problem["title"].is_string(), "{self:?}");
        let id = self.header("X-Request-Id").with_context(|| format!("no id: {self:?}"))?;
        ensure!(problem["instance"] == id, "the instance is another id: {self:?}");
        ensure!(self.header("Content-Type") == Some("application/problem+json"), "{self:?}");
        ensure!(self.header("Cache-Control") == Some("no-store"), "{self:?}");
        ensure!(self.header("Retry-After").is_some() == (status == 503), "{self:?}");
        Ok(problem)
    }
}
