//! What the private servers show to others on this machine.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use anyhow::{Context, Result, anyhow, ensure};
use stack::{
    Account, Programs, RabbitMq,
    process::{self, Process},
    programs::Wanted,
    rabbitmq::BrokerPorts,
};
use system_tests::servers::servers;

use super::copy_program;

#[test]
fn servers_listen_on_one_address_of_this_machine_and_on_no_other() -> Result<()> {
    let servers = servers()?;

    for (directory, at_least, server) in [
        (servers.primary().directory(), 1, "primary"),
        (servers.replica().directory(), 1, "replica"),
        // AMQP, management, distribution, and the port mapper.
        (servers.broker().directory(), 4, "rabbitmq"),
    ] {
        let sockets = process::working_below(directory).iter().flat_map(sockets_of).collect();

        let (by_ipv4, by_ipv6) = (listening("tcp", &sockets)?, listening("tcp6", &sockets)?);

        const LOOPBACK: &str = "0100007F";
        ensure!(by_ipv4.len() >= at_least, "{server}: are they looked for in the right way? {by_ipv4:?}");
        ensure!(by_ipv4.iter().all(|address| address == LOOPBACK), "{server}: {by_ipv4:?}");
        ensure!(by_ipv6.is_empty(), "{server} listens on IPv6 too: {by_ipv6:?}");
    }
    Ok(())
}

/// The inodes of a process's sockets.
fn sockets_of(process: &Process) -> HashSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.pid())).into_iter().flatten().flatten();
    let target = |path| {
        fs::read_link(path).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned)
    };
    descriptors.filter_map(|descriptor| target(descriptor.path())).collect()
}

/// The addresses, as the kernel writes them, on which one of these sockets listens.
fn listening(protocol: &str, sockets: &HashSet<String>) -> Result<Vec<String>> {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string(format!("/proc/net/{protocol}")).unwrap_or_default();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let own = rows.filter(|row| {
        row.get(3) == Some(&LISTEN) && row.get(9).is_some_and(|inode| sockets.contains(*inode))
    });
    own.map(|row| Ok(row[1].split_once(':').context("no port")?.0.to_owned())).collect()
}

/// Only Debian's and Ubuntu's port mapper is sure to take a socket that is open already.
#[test]
fn a_broker_starts_with_a_port_mapper_that_takes_no_socket() -> Result<()> {
    let directory = servers()?.new_directory("epmd")?;
    let (draft, epmd) = (directory.join("draft"), directory.join("epmd"));
    let mut programs = Programs::find(Wanted::Servers).map_err(|missing| anyhow!("{missing:?}"))?;
    let refusal = "case \"$*\" in *-systemd*) echo unknown option >&2; exit 1 ;; esac";
    fs::write(&draft, format!("#!/bin/sh\n{refusal}\nexec {} \"$@\"\n", programs.epmd.display()))?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    copy_program(&draft, &epmd)?;
    programs.epmd = epmd;
    let (account, ports) = (Account::for_servers()?, BrokerPorts::free()?);
    let broker = RabbitMq::create(&directory.join("rabbitmq"), &programs, &account, ports)?;

    broker.start()?;

    ensure!(broker.is_ready(), "it does not answer");
    broker.crash()
}

#[test]
fn the_cookie_of_the_broker_is_random_and_only_its_user_can_read_it() -> Result<()> {
    let broker = servers()?.broker();
    let path = broker.directory().join("node/.erlang.cookie");

    let (cookie, metadata) = (fs::read_to_string(&path)?, fs::metadata(&path)?);

    ensure!(
        cookie.len() == 64 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "that is Erlang's own"
    );
    assert_eq!(metadata.permissions().mode() & 0o777, 0o400);
    assert_eq!(metadata.uid(), fs::metadata(broker.directory())?.uid(), "it belongs to the broker's user");
    Ok(())
}
