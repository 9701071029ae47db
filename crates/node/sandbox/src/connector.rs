//! Connections to ports inside an instance: a thread enters its network namespace to create the
//! socket.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv};
use tokio::time::{sleep, timeout};

use crate::listening;

/// Timeout of an attempt that was not connected at once. Over loopback a connection is usually
/// established within the call; on a busy machine it takes a moment, and it never completes while
/// the server's accept queue is full.
const ANSWER_WAIT: Duration = Duration::from_millis(20);
/// How long the connection that found the server is kept for the first request. A server may close
/// an idle connection, and it blocks one that serves a single connection at a time.
const HELD_MAX: Duration = Duration::from_millis(500);

/// Connects to ports in one instance's network namespace.
pub struct Connector {
    network: Arc<OwnedFd>,
    host: Arc<OwnedFd>,
    held: Arc<Mutex<Option<Held>>>,
}

struct Held {
    stream: tokio::net::TcpStream,
    port: u16,
    since: Instant,
}

/// Result of an attempt to find a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It accepted a connection, which the next request gets.
    Server,
    /// No socket listens.
    NotListening,
    /// Neither was reported within the timeout of an attempt.
    NoAnswer,
}

impl Connector {
    /// Creates a connector into `network` for threads that are in `host`.
    pub fn new(network: Arc<OwnedFd>, host: Arc<OwnedFd>) -> Self {
        Self { network, host, held: Arc::default() }
    }

    /// Connects to a port by IPv4 and then IPv6 loopback, or returns the unused connection that
    /// found the server.
    pub async fn connect(&self, port: u16) -> io::Result<tokio::net::TcpStream> {
        if let Some(held) = self.take_held(port) {
            return Ok(held);
        }
        let [v4, v6] = listening::candidates(port);
        match self.open(v4).await {
            // A server may be bound to one of them only; if both fail, the first error is returned.
            Err(error) => self.open(v6).await.map_err(|_| error),
            connected => connected,
        }
    }

    /// Tries to find a server at an address.
    pub async fn find(&self, address: SocketAddr) -> Found {
        match timeout(ANSWER_WAIT, self.open(address)).await {
            Ok(Ok(stream)) => {
                self.hold(stream, address.port());
                Found::Server
            }
            Ok(Err(_)) => Found::NotListening,
            Err(_) => Found::NoAnswer,
        }
    }

    /// Holds the connection that found the server, and closes it if no request takes it in time.
    fn hold(&self, stream: tokio::net::TcpStream, port: u16) {
        *self.held.lock() = Some(Held { stream, port, since: Instant::now() });
        let held = Arc::downgrade(&self.held);
        tokio::spawn(async move {
            sleep(HELD_MAX).await;
            if let Some(held) = held.upgrade() {
                held.lock().take_if(|held| held.since.elapsed() >= HELD_MAX);
            }
        });
    }

    /// Closes the connection that found the server, if no request has taken it: a server that waits
    /// for its next bytes would not see its stop signal before.
    pub fn close_held(&self) {
        self.held.lock().take();
    }

    fn take_held(&self, port: u16) -> Option<tokio::net::TcpStream> {
        let held = self.held.lock().take()?;
        (held.port == port && held.since.elapsed() < HELD_MAX && is_open(&held.stream)).then_some(held.stream)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        // A socket stays in the network namespace of its creation.
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

/// Connects a non-blocking socket; true if it is connected already. Over loopback the connection is
/// established when the first call returns, but only a second call reports it: without that the
/// caller would wait for readiness needlessly.
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

/// Whether the peer has neither closed nor reset a connection.
fn is_open(stream: &tokio::net::TcpStream) -> bool {
    match recv(stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, bytes)) => bytes > 0,
        Err(error) => error == Errno::AGAIN,
    }
}
