//! Ports of 127.0.0.1.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};

/// Usual services have lower ports, which are not handed out.
const LOWEST: u16 = 20_000;

/// A free port that the kernel does not give to an outgoing connection. A process gets each port only once.
///
/// Binding port 0 yields a port of the ephemeral range. As soon as its server stops, the kernel may give it to a
/// client's connection, and then the server cannot start again. A client may even connect to itself.
pub fn free() -> Result<u16> {
    static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    const ATTEMPTS: usize = 200;
    let range = ephemeral_range().filter(|(low, _)| *low > LOWEST + 1_000).map(|(low, _)| LOWEST..low);
    for _ in 0..ATTEMPTS {
        let port = match &range {
            Some(range) => range.start + random()? % (range.end - range.start),
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
        };
        let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
        if is_free(port) && handed_out.get_or_insert_default().insert(port) {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port on 127.0.0.1")
}

/// Whether a server could listen on this port of 127.0.0.1 now.
pub fn is_free(port: u16) -> bool {
    // The standard library sets SO_REUSEADDR, as the servers do: old connections in TIME_WAIT do not count.
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A connection to this port of 127.0.0.1, which answers or refuses at once, with `limit` for each transfer.
pub fn connect(port: u16, limit: Duration) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

fn random() -> Result<u16> {
    u16::from_str_radix(&crate::files::random_hex(2)?, 16).context("two random bytes")
}

fn ephemeral_range() -> Option<(u16, u16)> {
    parse_range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut bounds = text.split_whitespace().map(str::parse);
    Some((bounds.next()?.ok()?, bounds.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_outgoing_ports_is_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_range(""), None);
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();

        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: HashSet<u16> = (0..50).map(|_| free().expect("a free port")).collect();

        assert_eq!(ports.len(), 50);
    }
}
