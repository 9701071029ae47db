//! Connections to ports inside an instance: a thread enters its network namespace for as long as it
//! makes the socket.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv};
use tokio::time::timeout;

use crate::listening;

/// How long one attempt waits for an answer that did not come within the call: over the loopback it
/// usually does, on a busy machine a moment later, or not at all when the queue of a server that
/// listens is full.
const ANSWER_WAIT: Duration = Duration::from_millis(20);
/// How long the connection that showed that a server listens is kept for the first request. A
/// server may close it when it hears nothing, and one that serves a single connection at a time
/// waits for it.
const HELD_MAX: Duration = Duration::from_millis(500);

/// Connects to ports in one instance's network namespace.
pub struct Connector {
    network: Arc<OwnedFd>,
    host: Arc<OwnedFd>,
    held: Mutex<Option<Held>>,
}

struct Held {
    stream: tokio::net::TcpStream,
    port: u16,
    since: Instant,
}

/// How an attempt to find a server came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It took a connection, which the next request gets.
    Server,
    /// Nobody listens.
    Nobody,
    /// Neither within the time of an attempt.
    NoAnswer,
}

impl Connector {
    /// Into `network`, from threads that are in `host`.
    pub fn new(network: Arc<OwnedFd>, host: Arc<OwnedFd>) -> Self {
        Self { network, host, held: Mutex::default() }
    }

    /// A connection to a port, by IPv4 and then IPv6 loopback: the one that found the server, if
    /// nobody had it yet.
    pub async fn connect(&self, port: u16) -> io::Result<tokio::net::TcpStream> {
        if let Some(held) = self.take_held(port) {
            return Ok(held);
        }
        let [v4, v6] = listening::candidates(port);
        match self.open(v4).await {
            // A server may be bound to one of them only; the first error says more when neither has
            // one.
            Err(error) => self.open(v6).await.map_err(|_| error),
            connected => connected,
        }
    }

    /// Tries to find a server at an address.
    pub async fn find(&self, address: SocketAddr) -> Found {
        match timeout(ANSWER_WAIT, self.open(address)).await {
            Ok(Ok(stream)) => {
                *self.held.lock() = Some(Held { stream, port: address.port(), since: Instant::now() });
                Found::Server
            }
            Ok(Err(_)) => Found::Nobody,
            Err(_) => Found::NoAnswer,
        }
    }

    fn take_held(&self, port: u16) -> Option<tokio::net::TcpStream> {
        let held = self.held.lock().take()?;
        (held.port == port && held.since.elapsed() < HELD_MAX && is_open(&held.stream)).then_some(held.stream)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        // The socket belongs to the instance's network for ever; only making it needs this thread
        // to be there.
        let socket = self.socket(address)?;
        let connected = begin(&socket, address)?;
        let stream = tokio::net::TcpStream::from_std(TcpStream::from(socket))?;
        if !connected {
            stream.writable().await?;
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn socket(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        self.inside(|| Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?))
    }

    fn inside<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        sys::namespace::in_network(self.network.as_fd(), self.host.as_fd(), work)
    }
}

/// Begins to connect a socket that does not wait; true when it is connected already. Over a
/// loopback the answer has come by the time the first call returns, but the kernel says so only to
/// the next: without it, whoever asks would sleep until it is told what is known already.
fn begin(socket: &OwnedFd, address: SocketAddr) -> io::Result<bool> {
    match rustix::net::connect(socket, &address) {
        Err(Errno::INPROGRESS) => {}
        other => return Ok(other.map(|()| true)?),
    }
    match rustix::net::connect(socket, &address) {
        Ok(()) | Err(Errno::ISCONN) => Ok(true),
        Err(Errno::ALREADY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the other side has neither closed nor broken a connection.
fn is_open(stream: &tokio::net::TcpStream) -> bool {
    match recv(stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, bytes)) => bytes > 0,
        Err(error) => error == Errno::AGAIN,
    }
}
