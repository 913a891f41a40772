//! Just enough HTTP to talk to the services and the broker of our own.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use stack::ports;

/// A health answer comes at once or says nothing.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// A command has 10 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A request to a port of 127.0.0.1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    /// Lines such as `Content-Type: application/json`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: &'r str,
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Status and body of `GET path`, if there was an answer at once.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let answer = send(port, &Request { method: "GET", path, ..Request::default() }, HEALTH_LIMIT).ok()?;
    Some((answer.status, answer.body))
}

/// The answer to a request.
pub(crate) fn call(port: u16, request: &Request) -> io::Result<Answer> {
    send(port, request, ANSWER_LIMIT)
}

fn send(port: u16, request: &Request, limit: Duration) -> io::Result<Answer> {
    let mut stream = ports::connect(port, limit)?;
    stream.write_all(request.text(port).as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other(format!("port {port} does not answer in HTTP")))
}

impl Request<'_> {
    fn text(&self, port: u16) -> String {
        let Self { method, path, headers, body } = self;
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        // HTTP/1.0 rules out an answer in chunks.
        format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    }
}

/// Takes an answer apart.
pub(crate) fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_head_and_body_are_taken_apart() {
        let text = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";

        let answer = parse(text).expect("an answer");

        assert_eq!((answer.status, answer.body.as_str()), (503, "{}"));
        assert_eq!(answer.head, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2");
        assert_eq!(parse("SSH-2.0-x\r\n"), None);
    }
}
