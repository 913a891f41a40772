//! A process behind the gateway that speaks just enough HTTP, and fails where the test wants it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::Result;
use stack::ports;

/// What a stand-in does with a request that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// Answers with this status line.
    Answer(&'static str),
    /// Closes the connection without an answer, as a process that was killed.
    Close,
    /// Says nothing, as a process that is frozen.
    Freeze,
}

/// When it is dropped, its port refuses connections.
pub(super) struct StandIn {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    conduct: Mutex<Conduct>,
    heads: Mutex<Vec<String>>,
    connections: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl StandIn {
    pub(super) fn new(conduct: Conduct) -> Result<Self> {
        let port = ports::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let shared = Arc::new(Shared {
            conduct: Mutex::new(conduct),
            heads: Mutex::default(),
            connections: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&serving)) else {
                    return;
                };
                shared.connections().extend(stream.try_clone());
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(Self { port, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it does from now on.
    pub(super) fn behave(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }

    /// The heads of the requests that it has read whole, in their order.
    pub(super) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests it has read whole.
    pub(super) fn count(&self) -> usize {
        self.heads().len()
    }

    /// How many connections were opened to it.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections().len()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then closes the port.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.accepting.take().map(JoinHandle::join);
        for stream in self.shared.connections().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection and then closes it, though a copy of it is kept.
    fn serve(&self, stream: &TcpStream) {
        self.answer(&mut BufReader::new(stream));
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn answer(&self, reader: &mut BufReader<&TcpStream>) {
        while let Some(head) = read_request(reader) {
            let is_head = head.starts_with("HEAD ");
            self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            let conduct = *self.conduct.lock().unwrap_or_else(PoisonError::into_inner);
            match conduct {
                Conduct::Answer(status) => {
                    let body = if is_head { "" } else { "{}" };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: 2\r\nRetry-After: 7\r\nETag: \"1\"\r\n\
                         X-Request-Id: own\r\n\r\n{body}"
                    );
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
                Conduct::Close => return,
                // Until the gateway gives up.
                Conduct::Freeze => {
                    let _ = reader.read(&mut [0]);
                    return;
                }
            }
        }
    }
}

/// The head of the next request, once its body is here too.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    reader.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
    Some(head)
}
