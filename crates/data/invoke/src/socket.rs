//! The socket of a connection to an instance's server, shared by whoever drives the connection and whoever keeps it.
//! Must not know what is said over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;

/// A shared socket; cheap to clone.
#[derive(Clone)]
pub(crate) struct Socket(Arc<Mutex<Inner>>);

struct Inner {
    stream: TokioIo<TcpStream>,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream: TokioIo::new(stream) })))
    }

    /// Whether a request can be sent: the server has neither closed the connection nor sent what was not asked for. Asks
    /// the kernel, as the runtime may not have heard of it yet.
    pub fn is_silent(&self) -> bool {
        let inner = self.0.lock();
        let peeked = recv(inner.stream.inner(), &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        peeked.is_err_and(|error| error == Errno::AGAIN)
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    #[tokio::test]
    async fn a_socket_that_was_closed_or_spoke_unasked_is_seen_without_the_runtime() {
        let (near, far) = pair().await;
        let socket = Socket::new(near);
        assert!(socket.is_silent());
        drop(far);
        assert!(!socket.is_silent(), "closed");

        let (near, mut far) = pair().await;
        let socket = Socket::new(near);
        far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("sent");
        assert!(!socket.is_silent(), "spoke unasked");
    }
}
