//! A client's connection, below the HTTP parser.
//!
//! It notices that the client closes its side. It drops a `100 Continue` that a final answer already follows. It turns
//! the parser's own refusals into problems.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{HttpRequest, web::Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::bare_refusals::BareRefusal;

/// How long a request still waits for its turn, or for a fresher replica, after the client closes its side.
///
/// A client that left looks like a client that closed only its sending side. So the service refuses neither at once,
/// and keeps a waiting place for neither for long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// The parser writes this before it calls the handler, even if the handler does not read the body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    closed: Closed,
    /// The unsent rest of the problem that replaces a refusal.
    refusal: Option<Bytes>,
}

/// Cancelled when the client closes its side of the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Closed(CancellationToken);

/// Completes [`GIVEN_UP_AFTER`] after the client closes its side; never while that side is open.
pub(super) async fn given_up(request: &HttpRequest) {
    match request.conn_data::<Closed>() {
        Some(closed) => closed.0.cancelled().await,
        None => std::future::pending().await,
    }
    sleep(GIVEN_UP_AFTER).await;
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, closed: Closed::default(), refusal: None }
    }

    pub(super) fn closed(&self) -> Closed {
        self.closed.clone()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, had_room) = (buffer.filled().len(), buffer.remaining() > 0);
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if had_room && buffer.filled().len() == before {
            self.closed.0.cancel();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The final answer follows in the same bytes: the handler refused the request by its head.
        if bytes.len() > CONTINUE.len() && bytes.starts_with(CONTINUE) {
            return Poll::Ready(Ok(CONTINUE.len()));
        }
        let this = &mut *self;
        match BareRefusal::find(bytes) {
            None => Pin::new(&mut this.stream).poll_write(cx, bytes),
            Some(BareRefusal { start: start @ 1.., .. }) => {
                Pin::new(&mut this.stream).poll_write(cx, &bytes[..start])
            }
            Some(refusal) => {
                let answer = this.refusal.get_or_insert_with(|| told(&refusal));
                while !answer.is_empty() {
                    let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, answer))?;
                    drop(answer.split_to(sent));
                }
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_none() {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        // This error closes the connection quietly. Otherwise the parser logs the client's fault at ERROR and closes it.
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The problem that replaces a refusal. Logs the request here, because no handler sees it.
fn told(refusal: &BareRefusal<'_>) -> Bytes {
    let (id, problem) = (Uuid::now_v7(), refusal.problem());
    let span = tracing::info_span!("request", %id);
    let status = refusal.status().as_u16();
    span.in_scope(|| tracing::info!(status, problem = problem.name(), detail = %problem, "answered"));
    refusal.replaced_by(&problem, &id.to_string())
}
