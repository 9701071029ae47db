//! A client's socket that records reads and blocked writes in the connection's state.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::timeouts::ConnectionState;

/// Creates the whole response to a request whose head is too large for hyper.
pub type HeadRefusal = Arc<dyn Fn() -> Bytes + Send + Sync>;

/// The beginning of hyper's own response to such a request. Responses to requests have other
/// headers before `Connection`, which no service sets.
const BARE_REFUSAL: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n";

/// The socket, with the state it updates.
pub(crate) struct ClientIo<S, M> {
    socket: S,
    state: Arc<ConnectionState>,
    refusal: Option<HeadRefusal>,
    /// The rest of a refusal that is being written.
    refusing: Option<Bytes>,
    /// Dropped with the socket: the connection's entry in the table.
    _member: M,
}

impl<S, M> ClientIo<S, M> {
    /// Records the events on `socket` in `state`.
    pub fn new(socket: S, state: Arc<ConnectionState>, refusal: Option<HeadRefusal>, entry: M) -> Self {
        Self { socket, state, refusal, refusing: None, _member: entry }
    }
}

impl<S: AsyncWrite + Unpin, M: Unpin> ClientIo<S, M> {
    /// Whether a refusal is written in place of `bytes`.
    fn refuses(&mut self, bytes: &[u8]) -> bool {
        if self.refusing.is_none() && bytes.starts_with(BARE_REFUSAL) {
            self.refusing = self.refusal.as_ref().map(|refusal| refusal());
        }
        self.refusing.is_some()
    }

    /// Writes a refusal; `len` bytes then count as written.
    fn poll_refuse(&mut self, context: &mut Context<'_>, len: usize) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.refusing.as_mut().filter(|rest| !rest.is_empty()) {
            let polled = Pin::new(&mut self.socket).poll_write(context, rest);
            self.state.write_blocked(polled.is_pending());
            match ready!(polled)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => rest.advance(written),
            }
        }
        self.refusing = None;
        Poll::Ready(Ok(len))
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
        if self.refuses(bytes) {
            return self.poll_refuse(context, bytes.len());
        }
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.state.write_blocked(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refuses(slices.first().map_or(&[], |first| first)) {
            return self.poll_refuse(context, slices.iter().map(|slice| slice.len()).sum());
        }
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
        let mut server = ClientIo::new(server, state.clone(), None, ());
        let mut written = tokio::spawn(async move { server.write_all(b"0123456789").await });
        assert!(tokio::time::timeout(Duration::from_millis(1500), &mut written).await.is_err());
        assert!(matches!(state.decide(timeouts), Decision::CloseNow(_)));
        client.read_exact(&mut [0; 10]).await.expect("ten bytes");
        written.await.expect("no panic").expect("all was written");
        assert_eq!(state.decide(timeouts), Decision::Keep);
    }

    #[tokio::test]
    async fn a_bare_refusal_of_the_library_is_replaced_and_no_other_response() {
        let bare = [BARE_REFUSAL, b"content-length: 0\r\n\r\n"].concat();
        let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nx-own: 1\r\nconnection: close\r\n\r\n".to_vec();
        let refusal = || -> HeadRefusal { Arc::new(|| Bytes::from_static(b"HTTP/1.1 431 Ours\r\n\r\nbecause")) };
        for (refusal, response, wanted) in [
            (Some(refusal()), &bare, &b"HTTP/1.1 431 Ours\r\n\r\nbecause"[..]),
            (Some(refusal()), &own, &own),
            (None, &bare, &bare),
        ] {
            // Fewer bytes than the response has: it is written in parts.
            let (mut client, server) = tokio::io::duplex(5);
            let mut server = ClientIo::new(server, ConnectionState::new(), refusal, ());
            let response = response.clone();
            let written = tokio::spawn(async move { server.write_all(&response).await });
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.expect("readable");
            written.await.expect("no panic").expect("all was written");
            assert_eq!(read, wanted);
        }
    }
}
