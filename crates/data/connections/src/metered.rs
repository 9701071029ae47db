//! A stream that counts HTTP/2 frames as they pass and fails reads once its peer exceeds the limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::frames::{FrameLimits, Frames, Peer, TooManyFrames};

/// A stream with a frame counter.
#[derive(Debug)]
pub struct Metered<S> {
    socket: S,
    opened: Instant,
    frames: Frames,
    is_over: bool,
}

impl<S> Metered<S> {
    /// For a connection from a client.
    pub fn new(socket: S, limits: FrameLimits) -> Self {
        Self { socket, opened: Instant::now(), frames: Frames::new(limits, Peer::Client), is_over: false }
    }

    /// For a connection to a server.
    pub fn to_server(socket: S, limits: FrameLimits) -> Self {
        Self { frames: Frames::new(limits, Peer::Server), ..Self::new(socket, limits) }
    }

    fn sent<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, mut len: usize) {
        if !self.frames.may_be_http2() {
            return;
        }
        for slice in slices {
            let taken = slice.len().min(len);
            self.frames.send(&slice[..taken]);
            len -= taken;
            if len == 0 {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, TooManyFrames)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if self.frames.may_be_http2() {
            let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            // The bytes already read are still handed over; the next read fails.
            self.is_over = self.frames.receive(&buffer.filled()[before..], now_ms).is_err();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
        self.sent([bytes].into_iter(), written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, slices))?;
        self.sent(slices.iter().map(|slice| &**slice), written);
        Poll::Ready(Ok(written))
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_with_too_many_frames_breaks_and_one_of_another_protocol_does_not() {
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
        for (beginning, breaks) in [("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true), ("GET / HTTP/1.1\r\n", false)] {
            let limits = FrameLimits { burst_max: 100, per_second_max: 0 };
            let (mut peer, ours) = tokio::io::duplex(1 << 20);
            peer.write_all(&[beginning.as_bytes(), &ping.repeat(1000)].concat()).await.expect("written");
            drop(peer);
            let read = Metered::new(ours, limits).read_to_end(&mut Vec::new()).await;
            assert_eq!(read.is_err(), breaks, "{read:?}");
        }
    }
}
