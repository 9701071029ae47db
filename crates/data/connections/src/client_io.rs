//! A client's socket that marks what the client does on it. Must not know HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::Activity;

/// The socket with its marks.
#[derive(Debug)]
pub(crate) struct ClientIo<S, M> {
    socket: S,
    activity: Arc<Activity>,
    /// What is held as long as the socket is open, whoever has it.
    _member: M,
}

impl<S, M> ClientIo<S, M> {
    /// Marks on `activity` what happens on `socket`.
    pub fn new(socket: S, activity: Arc<Activity>, member: M) -> Self {
        Self { socket, activity, _member: member }
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
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin, M: Unpin> AsyncWrite for ClientIo<S, M> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.activity.write_blocked(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.activity.write_blocked(polled.is_pending());
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
    use crate::activity::{Timeouts, Verdict};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_noticed_and_one_that_takes_again_forgiven() {
        let timeouts = Timeouts::new(10, 75, Some(1));
        let activity = Activity::new();
        let _turn = activity.begin(false);
        let (mut client, server) = tokio::io::duplex(4);
        let mut server = ClientIo::new(server, activity.clone(), ());
        let mut written = tokio::spawn(async move { server.write_all(b"0123456789").await });
        assert!(tokio::time::timeout(Duration::from_millis(1500), &mut written).await.is_err());
        assert!(matches!(activity.verdict(timeouts), Verdict::CloseNow(_)));
        client.read_exact(&mut [0; 10]).await.expect("ten bytes");
        written.await.expect("no panic").expect("all was written");
        assert_eq!(activity.verdict(timeouts), Verdict::Keep);
    }
}
