//! `Expect: 100-continue`: a client that asks before it sends its body.

use anyhow::{Context, Result, ensure};
use system_tests::{Call, with_pair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    BATCH, SLOTS,
    problem::{Inside, check_problem},
};

#[test]
fn a_body_that_is_not_wanted_is_refused_without_being_asked_for() -> Result<()> {
    with_pair(async |pair| {
        let (address, inside) = (pair.command_service().address(), Inside::of(pair));
        let expecting = |method, target: &str| Call::new(method, target).header("Expect", "100-continue");
        let cases = [
            (expecting("POST", SLOTS).json("").promising_more(10_000_000), "too-large"),
            (expecting("POST", BATCH).json("").promising_more(10_000_000), "too-large"),
            (expecting("POST", SLOTS).body("").promising_more(10), "unsupported-media-type"),
            (expecting("POST", "/parking-slots?x=1").json("").promising_more(10), "invalid-parameter"),
            (expecting("POST", "/nowhere").json("").promising_more(10), "not-found"),
        ];

        for (call, problem) in cases {
            // With a 100 before it, this would not be an answer.
            let reply = call.send(&address).await?;
            check_problem(&reply, &inside)?;
            assert_eq!(reply.problem(), problem, "{}", call.line());
        }
        Ok(())
    })
}

#[test]
fn a_body_that_is_wanted_is_asked_for() -> Result<()> {
    with_pair(async |pair| {
        let url = pair.command_service().address().get();
        let mut client = TcpStream::connect(url.strip_prefix("http://").context("not started")?).await?;
        let head = format!(
            "POST {SLOTS} HTTP/1.1\r\nHost: parking.test\r\nContent-Type: application/json\r\n\
             Content-Length: 12\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        let asked = b"HTTP/1.1 100 Continue\r\n\r\n";

        client.write_all(head.as_bytes()).await?;
        let mut interim = vec![0; asked.len()];
        client.read_exact(&mut interim).await?;
        client.write_all(b"{\"name\":\"A\"}").await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;

        assert_eq!(interim, asked);
        ensure!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
        Ok(())
    })
}
