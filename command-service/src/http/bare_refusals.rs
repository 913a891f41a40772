//! Turns the HTTP parser's own refusals into problems.
//!
//! The parser answers a request that it cannot read, before any handler runs. Its answer is a head without a body.
//! Every answer of a handler carries `X-Request-Id`; a refusal of the parser lacks it. A problem replaces the refusal.

use actix_web::{
    body::MessageBody,
    http::StatusCode,
    web::{Bytes, BytesMut},
};

use super::{headers::X_REQUEST_ID, problem::Problem, problem_types::ProblemType};

const HEAD_BEGIN: &[u8] = b"HTTP/1.";

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A refusal in the bytes that the parser writes; nothing follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareRefusal<'b> {
    /// The index at which its head begins.
    pub(super) start: usize,
    head: &'b str,
    status: StatusCode,
}

impl<'b> BareRefusal<'b> {
    /// Finds the refusal at the end of `bytes`, if there is one.
    pub(super) fn find(bytes: &'b [u8]) -> Option<Self> {
        let heads = bytes.strip_suffix(HEAD_END)?;
        let start = heads.windows(HEAD_BEGIN.len()).rposition(|window| window == HEAD_BEGIN)?;
        let head = std::str::from_utf8(&heads[start..]).ok()?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        let status = StatusCode::from_u16(status).ok()?;
        let is_refusal = status.is_client_error() || status.is_server_error();
        let is_bare = !head.lines().any(|line| is_named(line, X_REQUEST_ID.as_str()));
        (is_refusal && is_bare).then_some(Self { start, head, status })
    }

    /// The answer that the client gets instead: `problem`, with this id.
    pub(super) fn replaced_by(&self, problem: &Problem, id: &str) -> Bytes {
        let response = problem.response(Some(id));
        let kept = self.head.lines().filter(|line| !is_named(line, "content-length"));
        let mut lines: Vec<String> =
            kept.filter(|line| !is_named(line, "connection")).map(str::to_owned).collect();
        let own = response.headers().iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
        lines.extend(own.map(|(name, value)| format!("{name}: {value}")));
        lines.push(format!("cache-control: no-store\r\nconnection: close\r\n{X_REQUEST_ID}: {id}"));
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        lines.push(format!("content-length: {}", body.len()));
        let mut answer = BytesMut::from(lines.join("\r\n").as_bytes());
        answer.extend_from_slice(HEAD_END);
        answer.extend_from_slice(&body);
        answer.freeze()
    }

    /// The status that the client gets.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem that the refusal stands for.
    pub(super) fn problem(&self) -> Problem {
        match self.status {
            StatusCode::REQUEST_TIMEOUT => {
                Problem::new(ProblemType::RequestTimeout, "the head of a request must arrive within 5 s")
            }
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(
                ProblemType::HeadTooLarge,
                "the head of a request must have at most 128 KiB and 96 header lines",
            ),
            status if status.is_client_error() => Problem::new(
                ProblemType::MalformedRequest,
                "the request line, a header or the length of the body is not valid HTTP/1.1",
            ),
            _ => Problem::new(ProblemType::Internal, "nothing was changed"),
        }
    }
}

fn is_named(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: now\r\n\r\n";

    #[test]
    fn only_a_head_without_a_request_id_at_the_end_is_a_bare_refusal() {
        let ours = BARE.replace("date: now", "x-request-id: 1");
        let body = BARE.replace(": 0", ": 2") + "{}";
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";
        let bodiless = "HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n";
        let cases = [
            (BARE.to_owned(), Some(0), "alone"),
            (format!("{bodiless}{BARE}"), Some(bodiless.len()), "behind an answer without a body"),
            (format!("{answer}{BARE}"), Some(answer.len()), "behind an answer with a body"),
            (BARE.replace("1.1", "1.0"), Some(0), "to an old client"),
            (ours, None, "an answer of a handler to HEAD"),
            (body, None, "a body follows"),
            (answer.to_owned(), None, "an answer"),
            (bodiless.replace(": 1", ": HTTP/1.1-400"), None, "an id that looks like the beginning of one"),
            (bodiless.to_owned(), None, "no refusal"),
            ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), None, "no final answer"),
            (BARE[10..].to_owned(), None, "the rest of one"),
            (String::new(), None, "nothing"),
        ];

        for (bytes, start, reason) in cases {
            let found = BareRefusal::find(bytes.as_bytes()).map(|refusal| refusal.start);
            assert_eq!(found, start, "{reason}");
        }
    }

    #[test]
    fn the_problem_keeps_the_status_line_and_the_date() {
        let refusal = BareRefusal::find(BARE.as_bytes()).expect("a refusal");

        let answer = refusal.replaced_by(&refusal.problem(), "the-id");

        let answer = std::str::from_utf8(&answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\ndate: now\r\n"), "{head}");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("x-request-id: the-id") && body.contains("\"the-id\""), "{answer}");
    }
}
