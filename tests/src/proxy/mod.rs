//! A link between a service and one of its parts. It can be cut, held, reset, and cut at one exact message.
//!
//! | module | holds |
//! |---|---|
//! | [`frames`] | the messages in the bytes of either protocol |
//! | [`rules`] | what is to happen at which message |
//! | `link` | one connection through the proxy |

pub mod frames;
pub mod rules;
mod link;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use rustix::net::Shutdown;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::frames::Protocol;
use self::{link::Link, rules::Rule};

/// Connections that wait to be accepted, at most.
const BACKLOG: u32 = 1024;

/// A proxy on a port of its own, which stays its own also while it is cut.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    open: Mutex<Option<Open>>,
    // Bound and not listening: nobody else gets the port, and who connects to it is refused.
    _reservation: TcpSocket,
}

/// What all connections of a proxy have in common.
#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    protocol: Protocol,
    flowing: watch::Sender<bool>,
    rule: Mutex<Option<Arc<dyn Rule>>>,
    counters: Counters,
}

/// What has gone through a proxy since it was made.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: AtomicU64,
    /// Bytes that the clients sent.
    pub bytes_from_client: AtomicU64,
    /// Bytes that the server sent.
    pub bytes_from_server: AtomicU64,
}

/// One time of being open: the listener, and the connections that came by it.
#[derive(Debug)]
struct Open {
    listening: CancellationToken,
    connected: CancellationToken,
    tasks: TaskTracker,
}

impl Proxy {
    /// A proxy before the server on `target_port` of this machine, open at once.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(protocol: Protocol, target_port: u16) -> Result<Self> {
        let reservation = TcpSocket::new_v4()?;
        reservation.set_reuseaddr(true)?;
        reservation.bind(([127, 0, 0, 1], 0).into())?;
        let shared = Shared {
            target: ([127, 0, 0, 1], target_port).into(),
            protocol,
            flowing: watch::Sender::new(true),
            rule: Mutex::new(None),
            counters: Counters::default(),
        };
        let proxy = Self {
            port: reservation.local_addr()?.port(),
            shared: Arc::new(shared),
            open: Mutex::new(None),
            _reservation: reservation,
        };
        proxy.restore()?;
        Ok(proxy)
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of the server behind it.
    #[must_use]
    pub fn target_port(&self) -> u16 {
        self.shared.target.port()
    }

    /// What has gone through.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// How many connections have been accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.counters.connections.load(Ordering::Relaxed)
    }

    /// Resets every connection and refuses new ones; returns when that is so.
    pub async fn cut(&self) {
        let open = self.opened().take();
        if let Some(open) = open {
            open.listening.cancel();
            open.connected.cancel();
            open.tasks.close();
            open.tasks.wait().await;
        }
    }

    /// Resets every connection and lets new ones in.
    ///
    /// # Errors
    /// As [`Proxy::restore`].
    pub async fn reset(&self) -> Result<()> {
        self.cut().await;
        self.restore()
    }

    /// Accepts connections and keeps them open, but lets nothing through in either direction.
    pub fn blackhole(&self) {
        self.shared.flowing.send_replace(false);
    }

    /// Undoes [`Proxy::cut`] and [`Proxy::blackhole`].
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub fn restore(&self) -> Result<()> {
        self.shared.flowing.send_replace(true);
        let mut open = self.opened();
        if open.is_none() {
            *open = Some(Open::listen(self.port, &self.shared)?);
        }
        Ok(())
    }

    /// From now on `rule` sees every message; `None` lets all pass.
    pub fn set_rule(&self, rule: Option<Arc<dyn Rule>>) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(open) = self.opened().take() {
            open.listening.cancel();
            open.connected.cancel();
        }
    }
}

impl Shared {
    fn rule(&self) -> Option<Arc<dyn Rule>> {
        self.rule.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Open {
    fn listen(port: u16, shared: &Arc<Shared>) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // The reservation is bound to the same port.
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], port).into())?;
        let listener = socket.listen(BACKLOG).with_context(|| format!("cannot listen on port {port}"))?;
        ensure!(listener.local_addr()?.port() == port, "another port was given");
        let open = Self {
            listening: CancellationToken::new(),
            connected: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (listening, shared) = (open.listening.clone(), Arc::clone(shared));
        let (connected, tasks) = (open.connected.clone(), open.tasks.clone());
        open.tasks.spawn(async move {
            listening.run_until_cancelled(accept(&listener, shared, connected, tasks)).await;
            // Closing it is not enough: another test may just be starting a program, and until that is done the child
            // has a copy of every socket. One that listened would keep the port.
            let _ = rustix::net::shutdown(&listener, Shutdown::Both);
        });
        Ok(open)
    }
}

async fn accept(
    listener: &TcpListener,
    shared: Arc<Shared>,
    connected: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        // An error is that of one connection which was gone before it was accepted.
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(carry(client, Arc::clone(&shared), connected.clone()));
    }
}

/// Carries one connection. A server that refuses the proxy is seen by the client as a reset.
async fn carry(client: TcpStream, shared: Arc<Shared>, connected: CancellationToken) {
    let Some(Ok(server)) = connected.run_until_cancelled(TcpStream::connect(shared.target)).await else {
        let _ = client.set_zero_linger();
        return;
    };
    Link::new(client, server, shared).carry(connected).await;
}
