//! `curl`: what the tour and the README ask of curl, for machines on which it is not installed.

use std::io::{self, Write};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    cli::Curl,
    local::http::{Request, call},
};

pub(crate) fn curl(arguments: &Curl) -> Result<()> {
    let url = Url::parse(&arguments.url)?;
    let mut headers = arguments.headers.clone();
    headers.extend(url.user.map(|user| format!("Authorization: Basic {}", STANDARD.encode(user))));
    let method = arguments.method.as_deref();
    let request = Request {
        method: method.unwrap_or(if arguments.data.is_some() { "POST" } else { "GET" }),
        path: url.path,
        headers,
        body: arguments.data.as_deref().unwrap_or_default(),
    };
    let answer = call(url.port, &request).with_context(|| format!("no answer from port {}", url.port))?;
    let head = if arguments.include { format!("{}\r\n\r\n", answer.head) } else { String::new() };
    Ok(write!(io::stdout(), "{head}{}", answer.body)?)
}

/// An address on 127.0.0.1.
#[derive(Debug, PartialEq, Eq)]
struct Url<'u> {
    user: Option<&'u str>,
    port: u16,
    path: &'u str,
}

impl<'u> Url<'u> {
    fn parse(text: &'u str) -> Result<Self> {
        let rest = text.strip_prefix("http://").context("only http:// is understood: install curl")?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        ensure!(name == "127.0.0.1", "only 127.0.0.1 is reached: install curl");
        Ok(Self { user, port: port.parse()?, path: if path.is_empty() { "/" } else { path } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let cases = [
            ("http://127.0.0.1:8000", Some((None, 8000, "/")), "no path"),
            ("http://127.0.0.1:8000/a?b=c", Some((None, 8000, "/a?b=c")), "path and query"),
            ("http://me:secret@127.0.0.1:1/%2f", Some((Some("me:secret"), 1, "/%2f")), "user and password"),
            ("https://127.0.0.1/", None, "TLS is for curl itself"),
            ("http://example.com/", None, "others are for curl itself"),
        ];

        for (text, parts, reason) in cases {
            let url = Url::parse(text).ok().map(|url| (url.user, url.port, url.path));
            assert_eq!(url, parts, "{reason}");
        }
    }
}
