//! What the gateway refuses by itself.

use anyhow::{Context, Result, ensure};

use super::{
    front::Front,
    stand_in::{Conduct, StandIn},
};

#[test]
fn what_nginx_refuses_by_itself_is_a_problem_of_the_services() -> Result<()> {
    let process = StandIn::new(Conduct::Answer("404 Not Found"))?;
    let front = Front::start(&[&process], &[&process])?;
    let lines = |first: &str| format!("{first}\r\nHost: h\r\nConnection: close\r\n\r\n");
    let long = "x".repeat(140_000);
    let chunk = format!("{:x}\r\n{}\r\n", 3 << 20, "x".repeat(3 << 20));
    for (request, status, name, reason) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed-request", "no request line"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed-request", "no host"),
        (lines("GET /%zz HTTP/1.1"), 400, "malformed-request", "no target"),
        (lines("GET / HTTP/3.0"), 400, "malformed-request", "another version"),
        (lines("POST / HTTP/1.1\r\nTransfer-Encoding: x"), 400, "malformed-request", "another encoding"),
        (lines("POST / HTTP/1.1\r\nContent-Length: 5242881"), 413, "too-large", "beyond the largest batch"),
        (
            lines("POST / HTTP/1.1\r\nTransfer-Encoding: chunked") + &chunk + &chunk,
            413,
            "too-large",
            "beyond the largest batch, without a length",
        ),
        (lines(&format!("GET /{long} HTTP/1.1")), 431, "head-too-large", "a long target"),
        (lines(&format!("GET / HTTP/1.1\r\nX: {long}")), 431, "head-too-large", "a long header"),
        (lines("TRACE / HTTP/1.1"), 405, "method-not-allowed", "nginx knows no TRACE"),
        (lines("GET /-/outcome-unknown HTTP/1.1"), 404, "not-found", "a page of the gateway's own"),
    ] {
        let answer = front.send(&request).context(reason)?;

        answer.expect_problem(status, name).context(reason)?;
        ensure!(
            !answer.head.contains(char::is_numeric) || !answer.head.contains("nginx/"),
            "{}",
            answer.head
        );
    }
    ensure!(process.count() == 0, "a process heard of {:?}", process.heads());
    Ok(())
}

#[test]
fn what_the_services_decide_is_left_to_them() -> Result<()> {
    let process = StandIn::new(Conduct::Answer("421 Misdirected Request"))?;
    let front = Front::start(&[&process], &[&process])?;
    let long = "x".repeat(130_000);
    for (method, target, headers, reason) in [
        ("GET", format!("/{long}"), String::new(), "a target up to 128 KiB"),
        ("GET", "/".to_owned(), format!("X: {long}\r\n"), "a header up to 128 KiB"),
        ("GET", "/".to_owned(), "X: y\r\n".repeat(200), "more header lines than they take"),
        ("DELETE", "/nothing".to_owned(), String::new(), "another path"),
    ] {
        let before = process.count();

        let answer = front.ask(method, &target, &headers).context(reason)?;

        ensure!(answer.status == 421 && answer.body == "{}", "{reason}: {answer:?}");
        ensure!(process.count() == before + 1, "{reason}");
    }
    Ok(())
}
