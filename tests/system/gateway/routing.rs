//! Which process gets a request, and what the gateway makes of it.

use std::{fs, io::Write, path::Path, process::Command};

use anyhow::{Context, Result, anyhow, ensure};
use stack::{Programs, programs::Wanted};
use system_tests::servers::servers;

use super::{
    front::{Front, read},
    stand_in::{Conduct, StandIn},
};

const OK: Conduct = Conduct::Answer("200 OK");

#[test]
fn reads_go_to_query_processes_and_all_else_to_command_processes() -> Result<()> {
    let (query, command) = (StandIn::new(OK)?, StandIn::new(OK)?);
    let front = Front::start(&[&query], &[&command])?;
    for (method, target, is_read) in [
        ("GET", "/parking-slots", true),
        ("HEAD", "/parking-slots/a%2Fb//c?name=%41&receipt=x", true),
        ("GET", "/parking-slots?consistency=strong", true),
        ("GET", "/readyz", true),
        ("POST", "/parking-slots", false),
        ("PATCH", "/parking-slots/1", false),
        ("DELETE", "/parking-slots/1", false),
        ("OPTIONS", "/parking-slots", false),
        ("PUT", "/parking-slots/1", false),
    ] {
        let before = (query.count(), command.count());

        let answer = front.ask(method, target, "X-Request-Id: my \"id\"\r\n")?;

        let seen = (query.count() - before.0, command.count() - before.1);
        ensure!(answer.status == 200 && answer.header("ETag") == Some("\"1\""), "{method}: {answer:?}");
        ensure!(seen == if is_read { (1, 0) } else { (0, 1) }, "{method} {target}: {seen:?}");
        let head = if is_read { query.heads() } else { command.heads() }.pop().context("no request")?;
        ensure!(head.starts_with(&format!("{method} {target} HTTP/1.1\r\n")), "another target: {head}");
        ensure!(head.contains("\r\nHost: h\r\n"), "{head}");
        ensure!(head.contains("\r\nX-Forwarded-For: 127.0.0.1\r\n"), "{head}");
        ensure!(!head.to_lowercase().contains("connection:"), "the connection is kept: {head}");
        ensure!(!head.contains("my \"id\""), "an id with a space is no id: {head}");
        ensure!(head.contains("\r\nX-Request-Id: "), "{head}");
    }
    front.ask("GET", "/readyz", "X-Request-Id: my-\"id\"\r\n")?;
    let last = query.heads().pop().context("no request")?;
    ensure!(last.contains("\r\nX-Request-Id: my-\"id\"\r\n"), "the client's own id goes on: {last}");
    // Two nginx workers, each with two lanes of reads.
    ensure!(query.connections() <= 4, "{} connections for {} reads", query.connections(), query.count());
    Ok(())
}

#[test]
fn a_process_hears_of_a_command_only_when_its_body_is_here() -> Result<()> {
    let (query, command) = (StandIn::new(OK)?, StandIn::new(OK)?);
    let front = Front::start(&[&query], &[&command])?;
    let mut stream = front.connect()?;
    // As large as the largest batch; it does not fit into memory buffers.
    let (length, half) = (4 << 20, 2 << 20);
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");

    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; half])?;
    // A request that is answered meanwhile shows that the gateway goes on.
    front.ask("OPTIONS", "/", "")?;
    let heard = command.connections();
    stream.write_all(&vec![b'x'; length - half])?;
    let answer = read(stream)?;

    assert_eq!((heard, answer.status, command.count()), (1, 200, 2));
    Ok(())
}

#[test]
fn the_shipped_files_are_a_configuration_that_nginx_accepts() -> Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/gateway");
    let directory = servers()?.new_directory("nginx")?;
    for name in ["nginx.conf", "listen.conf", "upstreams.conf"] {
        let text = fs::read_to_string(shipped.join(name))?;
        // nginx looks up the names of the containers, which exist among containers only.
        let text = if name == "upstreams.conf" {
            text.replace("query-1", "127.0.0.1")
                .replace("query-2", "127.0.0.2")
                .replace("command-service", "127.0.0.3")
                .replace("command-2", "127.0.0.4")
        } else {
            text
        };
        fs::write(directory.join(name), text)?;
    }
    let programs = Programs::find(Wanted::ServersAndGateway).map_err(|missing| anyhow!("{missing:?}"))?;

    let mut nginx = Command::new(programs.nginx.context("no nginx")?);
    let output =
        nginx.arg("-t").arg("-p").arg(&directory).arg("-c").arg(directory.join("nginx.conf")).output()?;

    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
