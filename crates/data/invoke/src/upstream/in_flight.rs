//! The connection of a request whose response is not complete, for the case that its caller
//! disconnects.

use std::io;

use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;

use super::connection::Connection;
use super::socket::Socket;

/// The connection over which a request was sent last.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<Option<Socket>>);

impl InFlight {
    /// Records that the request is sent over `connection`.
    pub fn begin(&self, connection: &Connection) {
        *self.0.lock() = Some(connection.socket());
    }

    /// Takes the connection of an abandoned request; `None` where none was sent.
    pub fn abandon(&self) -> Option<Abandoned> {
        let socket = self.0.lock().take()?;
        socket.duplicate().ok().map(Abandoned)
    }
}

/// The connection of a request whose caller disconnected.
pub(crate) struct Abandoned(std::net::TcpStream);

impl Abandoned {
    /// Signals the disconnect by a FIN, which a server that watches its connections takes as the end
    /// of the request, and waits until the server reacts: it closes the connection, or sends more of
    /// the response, which ends in a RST once the connection is dropped. Either way it has stopped
    /// working for this request, or is about to. To be called within a runtime.
    pub async fn until_released(self) -> io::Result<()> {
        let stream = TcpStream::from_std(self.0)?;
        shutdown(&stream, Shutdown::Write)?;
        stream.peek(&mut [0]).await.map(drop)
    }
}
