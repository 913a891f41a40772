//! Calls byte by byte: what a well-behaved client library would not send, and answers as they came.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::{sleep, timeout},
};

use crate::{client::Reply, service::Address};

/// Longer than any answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);

/// What stands between the head and the body.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A request that is sent exactly as it is put together here.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    length: Length,
    trickle: Option<Duration>,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// By nothing: there is no body.
    None,
    /// By `Content-Length`, which may be more than is sent.
    Named(usize),
    /// By chunks. Without an end the last one is missing.
    Chunked { ended: bool },
}

impl Call {
    /// A request without headers of its own and without a body.
    #[must_use]
    pub fn new(method: &str, target: impl Into<Vec<u8>>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            length: Length::None,
            trickle: None,
        }
    }

    /// Adds a header line; one name may be on several lines.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Gives it a body, of whatever kind.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.length = Length::Named(self.body.len());
        self
    }

    /// Gives it a body of JSON, or of what claims to be that.
    #[must_use]
    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sends the body in chunks.
    #[must_use]
    pub fn chunked(self) -> Self {
        Self { length: Length::Chunked { ended: true }, ..self }
    }

    /// Sends the body in chunks and never says that it is complete.
    #[must_use]
    pub fn chunked_without_end(self) -> Self {
        Self { length: Length::Chunked { ended: false }, ..self }
    }

    /// Promises a body that is longer by so many bytes than what is sent.
    #[must_use]
    pub fn promising_more(self, bytes: usize) -> Self {
        Self { length: Length::Named(self.body.len() + bytes), ..self }
    }

    /// Sends the body byte by byte, with such pauses between them.
    #[must_use]
    pub fn trickling(self, pause: Duration) -> Self {
        Self { trickle: Some(pause), ..self }
    }

    /// What it asks for, for messages.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, String::from_utf8_lossy(&self.target))
    }

    /// Sends it on a connection of its own and reads the answer.
    ///
    /// # Errors
    /// No answer in time, or one that is not HTTP.
    pub async fn send(&self, address: &Address) -> Result<Reply> {
        self.exchange(address, false).await
    }

    /// As [`Call::send`], but says right after the request that nothing more will be sent.
    ///
    /// # Errors
    /// As [`Call::send`].
    pub async fn send_and_shut(&self, address: &Address) -> Result<Reply> {
        self.exchange(address, true).await
    }

    async fn exchange(&self, address: &Address, shut: bool) -> Result<Reply> {
        let sending = async |writer: &mut OwnedWriteHalf| {
            // A service that refuses a body need not read all of it.
            let _ = self.write_to(writer).await;
            if shut {
                let _ = writer.shutdown().await;
            }
        };
        converse(address, sending, self.method == "HEAD").await.with_context(|| self.line())
    }

    async fn write_to(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let bytes = self.bytes();
        let Some(pause) = self.trickle else {
            return writer.write_all(&bytes).await;
        };
        let (at_once, slowly) = bytes.split_at(bytes.len() - self.body.len());
        writer.write_all(at_once).await?;
        for byte in slowly {
            sleep(pause).await;
            writer.write_all(&[*byte]).await?;
        }
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        line("Host", b"parking.test");
        line("Connection", b"close");
        for (name, value) in &self.headers {
            line(name, value);
        }
        match self.length {
            Length::None => bytes.extend(b"\r\n"),
            Length::Named(length) => {
                line("Content-Length", length.to_string().as_bytes());
                bytes.extend([b"\r\n", self.body.as_slice()].concat());
            }
            Length::Chunked { ended } => {
                line("Transfer-Encoding", b"chunked");
                bytes.extend(b"\r\n");
                for chunk in self.body.chunks(CHUNK_BYTES) {
                    bytes.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                }
                if ended {
                    bytes.extend(b"0\r\n\r\n");
                }
            }
        }
        bytes
    }
}

/// Sends these bytes on a connection of their own, and reads the answer.
///
/// # Errors
/// No answer in time, or one that is not HTTP.
pub async fn send_bytes(address: &Address, bytes: &[u8]) -> Result<Reply> {
    let sending = async |writer: &mut OwnedWriteHalf| {
        // A service that refuses the beginning need not read the rest.
        let _ = writer.write_all(bytes).await;
    };
    converse(address, sending, false).await
}

/// Sends on a connection of its own, and reads the answer to its end.
async fn converse(
    address: &Address,
    send: impl AsyncFn(&mut OwnedWriteHalf),
    is_to_head: bool,
) -> Result<Reply> {
    let start = Instant::now();
    let conversation = async {
        let (mut reader, mut writer) = connect(address).await?.into_split();
        let (mut answer, mut took) = (Vec::new(), Duration::ZERO);
        // To its end, which comes up to a second after the last byte.
        let reading = async {
            while reader.read_buf(&mut answer).await? > 0 {
                took = start.elapsed();
            }
            io::Result::Ok(())
        };
        // The writing half stays open until the answer is complete.
        let ((), read) = tokio::join!(send(&mut writer), reading);
        match (parse(&answer, is_to_head, took), read) {
            (Ok(reply), _) => Ok(reply),
            (Err(_), Err(broken)) => Err(broken).context("the connection broke"),
            (Err(error), Ok(())) => Err(error),
        }
    };
    timeout(ANSWER_DEADLINE, conversation).await.context("no answer in time")?
}

const CHUNK_BYTES: usize = 16 * 1024;

async fn connect(address: &Address) -> Result<TcpStream> {
    let url = address.get();
    let host = url.strip_prefix("http://").context("not started")?;
    TcpStream::connect(host).await.with_context(|| format!("cannot connect to {host}"))
}

/// Takes an answer apart. The connection has been closed behind it, so nothing may follow the body.
fn parse(answer: &[u8], is_to_head: bool, took: Duration) -> Result<Reply> {
    let head_bytes = answer.windows(HEAD_END.len()).position(|window| window == HEAD_END);
    let head_bytes = head_bytes.with_context(|| format!("no answer but {} bytes", answer.len()))?;
    let head = std::str::from_utf8(&answer[..head_bytes])?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().context("no status line")?;
    let status = status_line.split(' ').nth(1).context("no status")?.parse::<u16>()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").with_context(|| format!("not a header: {line}"))?;
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    let body = &answer[head_bytes + HEAD_END.len()..];
    match headers.get("content-length") {
        Some(_) if is_to_head => ensure!(body.is_empty(), "HEAD is answered with a body"),
        Some(length) => {
            let length: usize = length.to_str()?.parse()?;
            ensure!(body.len() == length, "{length} bytes are named, and {} came", body.len());
        }
        None => ensure!(body.is_empty(), "a body without a length"),
    }
    let text = String::from_utf8(body.to_vec()).context("a body that is not UTF-8")?;
    Ok(Reply {
        status: StatusCode::from_u16(status)?,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        took,
    })
}
