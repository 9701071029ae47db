//! Sources of an acceptor's connections: a listening socket, or a channel of accepted ones.

use std::any::Any;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// A connection that was accepted elsewhere: its socket, its client's address, and a guard that is
/// dropped when it has ended.
pub type Handed = (TcpStream, SocketAddr, Box<dyn Any + Send + Sync>);

/// A source of connections.
#[derive(Debug)]
pub enum Incoming {
    /// A listening socket.
    Listener(TcpListener),
    /// Connections from a channel, which ends when all senders are dropped.
    Handed(Mutex<mpsc::Receiver<Handed>>),
}

impl Incoming {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<Box<dyn Any + Send + Sync>>)> {
        match self {
            Self::Listener(listener) => listener.accept().await.map(|(socket, address)| (socket, address, None)),
            Self::Handed(receiver) => match receiver.lock().await.recv().await {
                Some((socket, address, held)) => Ok((socket, address, Some(held))),
                None => std::future::pending().await,
            },
        }
    }
}

impl From<TcpListener> for Incoming {
    fn from(listener: TcpListener) -> Self {
        Self::Listener(listener)
    }
}

impl From<mpsc::Receiver<Handed>> for Incoming {
    fn from(receiver: mpsc::Receiver<Handed>) -> Self {
        Self::Handed(Mutex::new(receiver))
    }
}
