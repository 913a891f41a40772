//! How long a connection of a client that says nothing stays open.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, Shape, with_pair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than the libraries keep an idle connection unless they are told otherwise: 5 s.
const IDLE: Duration = Duration::from_secs(6);

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longer than the shortest setting, and shorter than what the libraries do by themselves.
const CLOSED: Duration = Duration::from_secs(4);

/// How long the service may take to end: less than it grants to requests that are under way.
const END: Duration = Duration::from_secs(5);

async fn connect(pair: &Pair) -> Result<TcpStream> {
    let address = pair.command_service().address().get();
    let host = address.strip_prefix("http://").context("no address")?.to_owned();
    Ok(TcpStream::connect(host).await?)
}

/// Asks on this connection whether the service lives, and leaves it open.
async fn ask(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: parking\r\n\r\n").await?;
    let mut answer = Vec::new();
    let whole = |answer: &[u8]| answer.ends_with(b"}") || answer.ends_with(b"\r\n\r\n");
    while !whole(&answer) {
        let read = timeout(DEADLINE, stream.read_buf(&mut answer)).await??;
        ensure!(read > 0, "the connection ended after {:?}", String::from_utf8_lossy(&answer));
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

#[test]
fn a_connection_that_was_idle_for_six_seconds_is_still_usable() -> Result<()> {
    with_pair(async |pair| {
        let mut stream = connect(pair).await?;
        ask(&mut stream).await?;

        let ended = timeout(IDLE, stream.read_u8()).await;

        ensure!(ended.is_err(), "the service closed an idle connection, or spoke on it: {ended:?}");
        ask(&mut stream).await
    })
}

#[test]
fn a_connection_that_is_idle_for_longer_than_the_setting_is_closed() -> Result<()> {
    let short = Shape { command_settings: vec![("PARKING__HTTP__KEEP_ALIVE_S", "1")], ..Shape::default() };
    short.run(async |pair| {
        let mut stream = connect(pair).await?;
        ask(&mut stream).await?;

        let ended = timeout(CLOSED, stream.read(&mut [0])).await??;

        ensure!(ended == 0, "the service spoke without being asked");
        Ok(())
    })
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end_of_the_service() -> Result<()> {
    with_pair(async |pair| {
        let mut stream = connect(pair).await?;
        ask(&mut stream).await?;

        let status = timeout(END, pair.command_service().stop()).await.context("it still runs")??;

        ensure!(status.success(), "{status}");
        Ok(())
    })
}
