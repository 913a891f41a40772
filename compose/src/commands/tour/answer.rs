//! An answer as `curl -i` prints it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// An answer, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'t> {
    status: u16,
    head: &'t str,
    body: &'t str,
}

impl<'t> Answer<'t> {
    /// The answer in `text`, which must have this status.
    pub(super) fn expect(text: &'t str, status: u16) -> Result<Self> {
        let answer = Self::parse(text).with_context(|| format!("this is no answer: {text}"))?;
        ensure!(
            answer.status == status,
            "{status} was expected, but {} came: {}",
            answer.status,
            answer.body
        );
        Ok(answer)
    }

    fn parse(text: &'t str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { status, head, body })
    }

    /// The value of a header, whose name is written in small letters.
    pub(super) fn header(&self, name: &str) -> Result<&'t str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).with_context(|| format!("the answer has no {name}"))
    }

    /// The body, which must be JSON.
    pub(super) fn json(&self) -> Result<Value> {
        serde_json::from_str(self.body).with_context(|| format!("this is not JSON: {}", self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_headers_and_body_are_taken_apart() {
        let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";

        let answer = Answer::expect(text, 503).expect("an answer");

        assert_eq!((answer.header("content-length").ok(), answer.body), (Some("2"), "{}"));
        assert!(answer.header("etag").is_err());
        assert!(Answer::expect(text, 200).is_err());
        assert_eq!(Answer::parse("SSH-2.0-x\r\n"), None);
    }
}
