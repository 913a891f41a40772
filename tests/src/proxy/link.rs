//! One connection through a proxy.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    frames::{Frame, Sender, Splitter},
    rules::Fate,
};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
}

/// How one direction ended.
enum End {
    /// Its sender closed it, or a socket failed.
    Closed,
    /// A rule asked for a reset.
    Reset,
    /// A rule took a message of the client's aside; the server is to get it when the token is cancelled.
    Stranded(Vec<u8>, CancellationToken),
}

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream, shared: Arc<Shared>) -> Self {
        Self { client, server, shared }
    }

    /// Carries bytes both ways until one end closes, a rule asks for a reset, or `connected` is cancelled (a reset of
    /// both ends).
    pub(super) async fn carry(self, connected: CancellationToken) {
        for socket in [&self.client, &self.server] {
            // Small messages must not wait for each other only because a proxy is between.
            let _ = socket.set_nodelay(true);
        }
        let (from_client, to_client) = self.client.into_split();
        let (from_server, to_server) = self.server.into_split();
        let mut forth = Direction::new(Sender::Client, from_client, to_server, &self.shared);
        let mut back = Direction::new(Sender::Server, from_server, to_client, &self.shared);
        let end = tokio::select! {
            () = connected.cancelled() => End::Reset,
            end = forth.carry() => end,
            end = back.carry() => end,
        };
        match end {
            End::Closed => {}
            End::Reset => {
                reset(forth.to, forth.from);
                reset(back.to, back.from);
            }
            End::Stranded(frame, release) => {
                reset(back.to, forth.from);
                let (to_server, from_server) = (forth.to, back.from);
                let delivery = deliver_late(&frame, &release, to_server, from_server);
                connected.run_until_cancelled(delivery).await;
            }
        }
    }
}

/// Sends a message whose client is gone, and reads what the server still says: closing with something unread would
/// be a reset, which might overtake the message.
async fn deliver_late(
    frame: &[u8],
    release: &CancellationToken,
    mut to_server: OwnedWriteHalf,
    mut from_server: OwnedReadHalf,
) {
    release.cancelled().await;
    if to_server.write_all(frame).await.is_err() || to_server.shutdown().await.is_err() {
        return;
    }
    let mut unheard = vec![0; BUFFER_BYTES];
    while from_server.read(&mut unheard).await.is_ok_and(|count| count > 0) {}
}

/// Lets go of a writing half so that its socket ends with a reset once `last_half`, the reading half of the same or of
/// the other socket, is gone too.
fn reset(writer: OwnedWriteHalf, last_half: OwnedReadHalf) {
    let _ = writer.as_ref().set_zero_linger();
    // Dropped, it would first send an orderly end.
    writer.forget();
    drop(last_half);
}

struct Direction<'s> {
    sender: Sender,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    splitter: Splitter,
    shared: &'s Shared,
}

impl<'s> Direction<'s> {
    fn new(sender: Sender, from: OwnedReadHalf, to: OwnedWriteHalf, shared: &'s Shared) -> Self {
        Self { sender, from, to, splitter: Splitter::new(shared.protocol, sender), shared }
    }

    async fn carry(&mut self) -> End {
        self.carry_until_end().await.unwrap_or(End::Closed)
    }

    async fn carry_until_end(&mut self) -> io::Result<End> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut flowing = self.shared.flowing.subscribe();
        loop {
            let count = self.from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(End::Closed);
            }
            let counter = match self.sender {
                Sender::Client => &self.shared.counters.bytes_from_client,
                Sender::Server => &self.shared.counters.bytes_from_server,
            };
            counter.fetch_add(count as u64, Ordering::Relaxed);
            // The sender of this value lives as long as the proxy's connections.
            let _ = flowing.wait_for(|flowing| *flowing).await;
            self.splitter.push(&buffer[..count]);
            if let Some(end) = self.pass_frames().await? {
                return Ok(end);
            }
        }
    }

    /// Passes the whole messages that have arrived, up to the one at which a rule ends the connection.
    async fn pass_frames(&mut self) -> io::Result<Option<End>> {
        let rule = self.shared.rule();
        let mut passing = Vec::new();
        let mut end = None;
        while let Some(bytes) = self.splitter.next_frame() {
            let frame = Frame { sender: self.sender, bytes: &bytes };
            match rule.as_ref().map_or(Fate::Pass, |rule| rule.judge(&frame)) {
                Fate::Pass => passing.extend_from_slice(&bytes),
                Fate::SwallowAndReset => end = Some(End::Reset),
                Fate::Strand(release) => end = Some(End::Stranded(bytes, release)),
            }
            if end.is_some() {
                break;
            }
        }
        self.to.write_all(&passing).await?;
        Ok(end)
    }
}
