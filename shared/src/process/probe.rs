//! Asks a service on this machine for its state, for the `healthcheck` commands. So an image needs no other
//! program.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the service may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// The most bytes that are read of the answer.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// The status in the answer of `/readyz`, for instance `ready`. The whole answer if it has no status.
#[must_use]
pub fn status_in(answer: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    parsed
        .and_then(|parsed| parsed["status"].as_str().map(str::to_owned))
        .unwrap_or_else(|| answer.to_owned())
}

/// Asks `path` of the service on this address. Returns whether the answer is a 200, and its body. A service
/// that listens on every address is asked on the loopback.
///
/// # Errors
/// Nothing listens, or the service does not answer within 3 s.
pub async fn get(bind: IpAddr, port: u16, path: &str) -> io::Result<(bool, String)> {
    let host = if bind.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bind };
    let asking = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_MAX_BYTES).read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Ok((head.starts_with("HTTP/1.1 200 "), body.to_owned()))
    };
    timeout(DEADLINE, asking).await.map_err(io::Error::from)?
}
