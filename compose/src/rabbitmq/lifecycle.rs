//! Starting, ending and pausing the broker, whatever state it was left in.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::RabbitMq;
use crate::{
    daemon::Started,
    files, http, ports,
    process::{self, Process, Signal},
    wait,
};

/// A node takes some seconds; more on a busy machine or with much to recover.
const START_LIMIT: Duration = Duration::from_secs(60);
/// An orderly stop takes 5 s at least: a handler of the management plugin and the application controller wait for each
/// other until that times out.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);

/// What the operating system calls an Erlang virtual machine.
const VIRTUAL_MACHINE: &str = "beam.smp";

impl RabbitMq {
    /// Starts the broker, however it ended before, and returns once it answers on both ports.
    pub fn start(&self) -> Result<()> {
        let _lock = files::lock(&self.directory.join("lock"))?;
        if let Some(node) = self.running_node() {
            self.resume()?;
            return self.wait_until_ready(&node, String::new);
        }
        self.end_processes()?;
        self.configure()?;
        let epmd_port = self.start_epmd()?;
        let started = self.spawn_node(epmd_port)?;
        self.wait_until_ready(&started.process, || started.output())
    }

    /// Stops the broker in an orderly way. Does nothing when it does not run.
    pub fn stop(&self) -> Result<()> {
        let _lock = files::lock(&self.directory.join("lock"))?;
        self.resume()?;
        if let Some(node) = self.running_node() {
            node.stop(Signal::TERM, STOP_LIMIT)?;
        }
        self.end_processes()
    }

    /// Kills the broker without notice.
    pub fn crash(&self) -> Result<()> {
        self.end_processes()
    }

    /// Freezes the broker: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    /// Undoes [`RabbitMq::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    /// Whether the broker's virtual machine runs.
    pub fn is_running(&self) -> bool {
        self.running_node().is_some()
    }

    /// The process id of the broker's virtual machine, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.running_node().map(|node| node.pid())
    }

    /// Whether the broker answers on both of its ports.
    pub fn is_ready(&self) -> bool {
        self.running_node().is_some_and(|node| !node.is_paused()) && self.answers()
    }

    /// Starts the port mapper and returns its port.
    fn start_epmd(&self) -> Result<u16> {
        let (epmd, port) = self.spawn_epmd_with_socket()?;
        match wait_for_epmd(&epmd, port) {
            Err(_) if !epmd.process.is_alive() => {
                let port = ports::free()?;
                wait_for_epmd(&self.spawn_epmd(port)?, port).map(|()| port)
            }
            answers => answers.map(|()| port),
        }
    }

    fn wait_until_ready(&self, node: &Process, output: impl Fn() -> String) -> Result<()> {
        let ready = wait::until(START_LIMIT, POLL, || {
            if !node.is_alive() {
                bail!("RabbitMQ on port {} ended while it started:\n{}", self.ports.amqp, output());
            }
            Ok(self.answers().then_some(()))
        })?;
        ready.with_context(|| {
            format!("RabbitMQ on port {} is not ready after {START_LIMIT:?}", self.ports.amqp)
        })
    }

    fn answers(&self) -> bool {
        answers_amqp(self.ports.amqp).unwrap_or(false)
            && http::get(&self.management_url(), ANSWER_LIMIT).is_some()
    }

    fn running_node(&self) -> Option<Process> {
        self.processes().into_iter().find(|process| process.program() == VIRTUAL_MACHINE)
    }

    /// The node, what it starts, and its port mapper all work in the node's directory.
    fn processes(&self) -> Vec<Process> {
        process::working_in(&self.node())
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        self.processes().iter().try_for_each(|process| process.signal(signal).map(|_| ()))
    }

    fn end_processes(&self) -> Result<()> {
        process::end_all(|| self.processes(), STOP_LIMIT)
    }
}

fn wait_for_epmd(epmd: &Started, port: u16) -> Result<()> {
    let answers = wait::until(ANSWER_LIMIT * 10, POLL / 5, || {
        if !epmd.process.is_alive() {
            bail!("Erlang's port mapper ended while it started:\n{}", epmd.output());
        }
        Ok(answers_epmd(port).unwrap_or(false).then_some(()))
    })?;
    answers.context("Erlang's port mapper does not answer")
}

/// A port mapper that is asked for its names says first on which port it is.
fn answers_epmd(port: u16) -> io::Result<bool> {
    const NAMES_REQUEST: [u8; 3] = [0, 1, b'n'];
    let mut stream = ports::connect(port, ANSWER_LIMIT)?;
    stream.write_all(&NAMES_REQUEST)?;
    let mut own_port = [0; 4];
    stream.read_exact(&mut own_port)?;
    Ok(u32::from_be_bytes(own_port) == u32::from(port))
}

/// A broker that serves clients answers the protocol header with the method frame `connection.start`.
fn answers_amqp(port: u16) -> io::Result<bool> {
    const METHOD_FRAME: u8 = 1;
    let mut stream = ports::connect(port, ANSWER_LIMIT)?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    Ok(first[0] == METHOD_FRAME)
}
