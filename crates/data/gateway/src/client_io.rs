//! A client's socket that marks what the client does on it. Must not know HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::Activity;

/// The socket with its marks.
#[derive(Debug)]
pub struct ClientIo<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> ClientIo<S> {
    /// Marks on `activity` what happens on `socket`.
    pub fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientIo<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
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
    use crate::activity::{Patience, Verdict};
    use crate::config::Config;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_noticed_and_one_that_takes_again_forgiven() {
        let patience = Patience::new(&Config { stall_timeout_s: 1, ..Config::default() });
        let activity = Activity::new();
        let _turn = activity.begin(false);
        let (mut client, server) = tokio::io::duplex(4);
        let mut server = ClientIo::new(server, activity.clone());
        let mut written = tokio::spawn(async move { server.write_all(b"0123456789").await });
        assert!(tokio::time::timeout(Duration::from_millis(1500), &mut written).await.is_err());
        assert!(matches!(activity.verdict(patience), Verdict::CloseNow(_)));
        client.read_exact(&mut [0; 10]).await.expect("ten bytes");
        written.await.expect("no panic").expect("all was written");
        assert_eq!(activity.verdict(patience), Verdict::Keep);
    }
}
