//! Just enough HTTP to ask a service of our own how it is.

use std::{
    io::{Read, Write},
    time::Duration,
};

use stack::ports;

/// A health answer comes at once or says nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Status and body of `GET path`, if there was an answer.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = ports::connect(port, ANSWER_LIMIT).ok()?;
    // HTTP/1.0 rules out an answer in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer).ok()?;
    parse(&answer)
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_taken_apart() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";

        assert_eq!(parse(answer), Some((503, "{}".to_owned())));
        assert_eq!(parse("SSH-2.0-x\r\n"), None);
    }
}
