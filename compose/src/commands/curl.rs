//! `curl`: what the tour and the README ask of curl, for machines on which it is not installed.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context, Result};
use stack::http::{Request, call};

use crate::cli::Curl;

/// Longer than a command of command-service may take.
const LIMIT: Duration = Duration::from_secs(12);

pub(crate) fn curl(arguments: &Curl) -> Result<()> {
    let body = arguments.data.as_deref();
    let method = arguments.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let request = Request { method, url: &arguments.url, headers: &arguments.headers, body };
    let answer = call(request, LIMIT).context("no answer; only http:// is understood: install curl")?;
    let head = if arguments.include { format!("{}\r\n\r\n", answer.head) } else { String::new() };
    Ok(write!(io::stdout(), "{head}{}", answer.body)?)
}
