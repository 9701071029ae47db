//! A client's socket that records reads and blocked writes in the connection's state.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::timeouts::ConnectionState;

/// The socket, with the state it updates.
#[derive(Debug)]
pub(crate) struct ClientIo<S, M> {
    socket: S,
    state: Arc<ConnectionState>,
    /// Dropped with the socket: the connection's entry in the table.
    _member: M,
}

impl<S, M> ClientIo<S, M> {
    /// Records in `state` what happens on `socket`.
    pub fn new(socket: S, state: Arc<ConnectionState>, entry: M) -> Self {
        Self { socket, state, _member: entry }
    }
}

impl<S: AsyncRead + Unpin, M: Unpin> AsyncRead for ClientIo<S, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.state.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin, M: Unpin> AsyncWrite for ClientIo<S, M> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.state.write_blocked(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.state.write_blocked(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::timeouts::{Decision, Timeouts};

    #[tokio::test(start_paused = true)]
    async fn a_blocked_write_is_recorded_until_the_client_reads_again() {
        let timeouts = Timeouts::new(10, 75, Some(1));
        let state = ConnectionState::new();
        let _turn = state.begin(false);
        let (mut client, server) = tokio::io::duplex(4);
        let mut server = ClientIo::new(server, state.clone(), ());
        let mut written = tokio::spawn(async move { server.write_all(b"0123456789").await });
        assert!(tokio::time::timeout(Duration::from_millis(1500), &mut written).await.is_err());
        assert!(matches!(state.decide(timeouts), Decision::CloseNow(_)));
        client.read_exact(&mut [0; 10]).await.expect("ten bytes");
        written.await.expect("no panic").expect("all was written");
        assert_eq!(state.decide(timeouts), Decision::Keep);
    }
}
