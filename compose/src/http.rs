//! HTTP requests to servers of this machine: the services, and the management API of the broker.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result};
use ureq::{Agent, http};

/// A larger answer is an error. No answer that this program asks for comes near it.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    /// `GET`, `POST` and so on.
    pub method: &'r str,
    /// Begins with `http://`; may hold user and password.
    pub url: &'r str,
    /// Lines such as `Content-Type: application/json`.
    pub headers: &'r [String],
    /// Its body, if it has one.
    pub body: Option<&'r str>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// The status line and the headers, with `\r\n` between them.
    pub head: String,
    /// The body.
    pub body: String,
}

/// The answer to `GET url`, or nothing when none arrives within `limit`.
pub fn get(url: &str, limit: Duration) -> Option<Answer> {
    call(Request { method: "GET", url, ..Request::default() }, limit).ok()
}

/// Sends a request and reads the whole answer. Fails when that takes longer than `limit`.
pub fn call(request: Request<'_>, limit: Duration) -> Result<Answer> {
    let agent = Agent::config_builder()
        .timeout_global(Some(limit))
        // A proxy that the user has for the world cannot reach 127.0.0.1.
        .proxy(None)
        // Every answer is shown or judged as it is.
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .new_agent();
    let mut draft = http::Request::builder().method(request.method).uri(request.url);
    for header in request.headers {
        let (name, value) = header.split_once(':').with_context(|| format!("`{header}` has no colon"))?;
        draft = draft.header(name.trim(), value.trim());
    }
    let response = match request.body {
        Some(body) => agent.run(draft.body(body)?),
        None => agent.run(draft.body(())?),
    };
    read(response?)
}

fn read(mut response: http::Response<ureq::Body>) -> Result<Answer> {
    let mut head = format!("{:?} {}", response.version(), response.status());
    for (name, value) in response.headers() {
        write!(head, "\r\n{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).lossy_utf8(true).read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), head, body })
}
