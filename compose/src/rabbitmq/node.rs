//! How the node is configured: nothing of the system's broker is read, nothing listens beyond 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;

use super::{RabbitMq, USER};
use crate::{
    daemon::{Daemon, Started},
    files, ports,
};

/// The host is an address, which needs no resolver and no `/etc/hosts`. Several nodes can have this name, because
/// each has a port mapper of its own.
const NODE_NAME: &str = "parking@127.0.0.1";

/// Keeps the distribution on 127.0.0.1, and the node from starting a port mapper, which would listen everywhere.
const ERLANG_FLAGS: &str = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false";

/// Idle schedulers sleep instead of spinning: a broker that does nothing costs nothing.
const SCHEDULER_FLAGS: &str = "+sbwt none +sbwtdcpu none +sbwtdio none";

/// As hexadecimal digits it is well below the 255 characters that Erlang accepts.
const COOKIE_BYTES: usize = 32;

impl RabbitMq {
    /// Writes the configuration for the next start: ports may have changed since the last one.
    pub(super) fn configure(&self) -> Result<()> {
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {}\n\
             default_user = {USER}\n\
             default_pass = {}\n\
             disk_free_limit.absolute = 50MB\n\
             log.console = true\n\
             log.console.level = info\n\
             log.file = false\n",
            self.ports.amqp, self.ports.management, self.password.0
        );
        let node = self.node();
        self.account.write_private_file(&node.join("rabbitmq.conf"), configuration.as_bytes())?;
        self.account.write_private_file(&node.join("enabled_plugins"), b"[rabbitmq_management].\n")?;
        // A process that knows the cookie controls the node, and Erlang makes it with a generator that is seeded with
        // the time. No other node needs it, so each start writes a random one.
        self.account.write_secret(&node.join(".erlang.cookie"), files::random_hex(COOKIE_BYTES)?.as_bytes())
    }

    /// Starts the port mapper, by which Erlang nodes find each other, on a socket of 127.0.0.1. One that opens its
    /// sockets itself always listens on `[::1]` too.
    pub(super) fn spawn_epmd_with_socket(&self) -> Result<(Started, u16)> {
        let port = ports::free()?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let daemon = Daemon::with_socket(&self.epmd, &self.node(), &self.log(), socket);
        Ok((self.spawn_epmd_daemon(daemon.arg("-systemd"), port)?, port))
    }

    /// Starts a port mapper that was built without sockets of systemd. Debian and Ubuntu build it with them.
    pub(super) fn spawn_epmd(&self, port: u16) -> Result<Started> {
        let daemon = Daemon::new(&self.epmd, &self.node(), &self.log());
        self.spawn_epmd_daemon(daemon.args(["-address", "127.0.0.1"]), port)
    }

    fn spawn_epmd_daemon(&self, daemon: Daemon, port: u16) -> Result<Started> {
        let daemon = daemon.account(&self.account).env("HOME", self.node());
        daemon.arg("-port").arg(port.to_string()).spawn()
    }

    /// Starts the node. Every path that RabbitMQ would otherwise take from `/etc` or `/var` is set.
    pub(super) fn spawn_node(&self, epmd_port: u16) -> Result<Started> {
        let node = self.node();
        let program = self.programs.join("rabbitmq-server");
        let daemon = Daemon::new(&program, &node, &self.log()).account(&self.account);
        daemon
            .env("HOME", &node)
            // Makes the script replace itself by the node: one process to watch and to signal.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", NODE_NAME)
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("RABBITMQ_DIST_PORT", ports::free()?.to_string())
            .env("RABBITMQ_CONFIG_FILE", node.join("rabbitmq.conf"))
            .env("RABBITMQ_CONFIG_FILES", node.join("conf.d/*.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", node.join("advanced.config"))
            .env("RABBITMQ_CONF_ENV_FILE", node.join("rabbitmq-env.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", node.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", node.join("mnesia"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", node.join("generated"))
            .env("RABBITMQ_LOG_BASE", node.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", node.join("pid"))
            .env("ERL_CRASH_DUMP", node.join("erl_crash.dump"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", epmd_port.to_string())
            .env("ERL_AFLAGS", ERLANG_FLAGS)
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", SCHEDULER_FLAGS)
            .spawn()
    }
}
