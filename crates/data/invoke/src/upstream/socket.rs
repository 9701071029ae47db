//! The socket of a connection to an instance's server, shared by the connection's driver and its
//! owner.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use connections::WorkerId;
use http::HeaderMap;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::head_writer::HeadWriter;
use super::response_head::{HeadLimits, ResponseHead};
use crate::config::Config;
use crate::headers::Stamp;

/// Size of a read that may contain a head, in bytes.
const HEAD_READ_BYTES: usize = 8 * 1024;

/// A shared socket; cheap to clone.
#[derive(Clone)]
pub(crate) struct Socket(Arc<Mutex<Inner>>);

struct Inner {
    stream: TokioIo<TcpStream>,
    /// Bytes were read since the last request, or since they were acknowledged.
    unacknowledged: bool,
    /// Whether reading was stopped.
    read_stopped: bool,
    head: ResponseHead,
    /// Adds the stamp to a request.
    added: HeadWriter,
    /// Bytes of heads before hyper reads them.
    buffer: Box<[u8]>,
    /// Bytes that hyper has had no room for yet.
    unread: VecDeque<u8>,
    /// The worker whose runtime reports its readiness.
    worker: WorkerId,
}

impl Socket {
    /// A stream that is registered with the runtime of the calling thread.
    pub fn new(stream: TcpStream, config: &Config) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream: TokioIo::new(stream),
            unacknowledged: false,
            read_stopped: false,
            added: HeadWriter::default(),
            head: ResponseHead::new(HeadLimits::new(config)),
            buffer: Box::default(),
            unread: VecDeque::new(),
            worker: WorkerId::current(),
        })))
    }

    /// The worker whose runtime reports its readiness.
    pub fn worker(&self) -> WorkerId {
        self.0.lock().worker
    }

    /// Moves it to the runtime of the calling thread: otherwise each wake-up would cross threads.
    /// No task may be waiting for the socket.
    pub fn move_here(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        let here = WorkerId::current();
        if inner.worker != here {
            // The old descriptor leaves its runtime when it is dropped.
            let descriptor = inner.stream.inner().as_fd().try_clone_to_owned()?;
            inner.stream = TokioIo::new(TcpStream::from_std(descriptor.into())?);
            inner.worker = here;
        }
        Ok(())
    }

    /// A second descriptor of the connection, which no runtime polls yet.
    pub fn duplicate(&self) -> io::Result<std::net::TcpStream> {
        Ok(self.0.lock().stream.inner().as_fd().try_clone_to_owned()?.into())
    }

    /// Whether a request can be sent: the server has neither closed the connection nor sent data
    /// without a request. Peeks at the socket, as the runtime may not have polled it yet.
    pub fn is_silent(&self) -> bool {
        let inner = self.0.lock();
        let peeked = recv(inner.stream.inner(), &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        peeked.is_err_and(|error| error == Errno::AGAIN)
    }

    /// Marks the beginning of a request, to which the stamp is added; the head of its response is
    /// followed.
    pub fn begin(&self, stamp: Stamp<'_>) {
        let mut inner = self.0.lock();
        inner.unacknowledged = false;
        inner.head.begin();
        inner.added.begin(|lines| stamp.write_lines(lines));
        if inner.buffer.is_empty() {
            inner.buffer = vec![0; HEAD_READ_BYTES].into();
        }
    }

    /// Whether more interim responses arrived than the limit; reading stops then.
    pub fn has_too_many_interim(&self) -> bool {
        self.0.lock().head.has_too_many_interim()
    }

    /// Header lines of the response that were extracted before hyper.
    pub fn take_extra_headers(&self) -> Option<HeaderMap> {
        self.0.lock().head.take_extra()
    }

    /// Stops reading: every further read fails. hyper reads while there are bytes, and cannot be
    /// stopped otherwise.
    pub fn stop_reading(&self) {
        self.0.lock().read_stopped = true;
    }

    /// Acknowledges the bytes read of an incomplete response. A server that writes head and body
    /// separately without TCP_NODELAY sends the second part only when the first is acknowledged
    /// (RFC 1122, 4.2.3.4), and the kernel would delay that by 40 ms (tcp(7), TCP_QUICKACK). A
    /// response that arrives in one piece costs no system call.
    pub fn acknowledge(&self) {
        let mut inner = self.0.lock();
        if std::mem::take(&mut inner.unacknowledged) {
            // If it fails, the rest of the response arrives later.
            sockopt::set_tcp_quickack(inner.stream.inner(), true).ok();
        }
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.read_stopped {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = match inner.head.is_over() && inner.unread.is_empty() {
            true => Pin::new(&mut inner.stream).poll_read(cx, buf),
            false => inner.poll_read_head(cx, buf),
        };
        inner.unacknowledged |= read.is_ready();
        read
    }
}

impl Inner {
    /// Reads bytes that may belong to the head of a response.
    fn poll_read_head(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let room = self.buffer.len().min(buf.remaining());
            let mut read = ReadBuf::new(&mut self.buffer[..room]);
            ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut read))?;
            let bytes = read.filled();
            let Some(others) = self.head.receive(bytes) else {
                buf.put_slice(bytes);
                self.read_stopped |= self.head.has_too_many_interim();
                return Poll::Ready(Ok(()));
            };
            self.unread.extend(others);
        }
        let room = self.unread.len().min(buf.remaining());
        for byte in self.unread.drain(..room) {
            buf.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.lock();
        match inner.added.is_done() {
            true => Pin::new(&mut inner.stream).poll_write(cx, bytes),
            false => inner.added.poll_write(inner.stream.inner_mut(), cx, &[IoSlice::new(bytes)]),
        }
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
        let inner = &mut *self.0.lock();
        match inner.added.is_done() {
            true => Pin::new(&mut inner.stream).poll_write_vectored(cx, slices),
            false => inner.added.poll_write(inner.stream.inner_mut(), cx, slices),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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
    async fn a_socket_that_was_closed_or_has_data_without_a_request_is_seen_without_the_runtime() {
        let (near, far) = pair().await;
        let socket = Socket::new(near, &Config::default());
        assert!(socket.is_silent());
        drop(far);
        assert!(!socket.is_silent(), "closed");

        let (near, mut far) = pair().await;
        let socket = Socket::new(near, &Config::default());
        far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("sent");
        assert!(!socket.is_silent(), "sent data without a request");
    }

    #[tokio::test]
    async fn what_was_read_is_acknowledged_once_and_nothing_else() {
        let (near, mut far) = pair().await;
        let mut socket = Socket::new(near, &Config::default());
        let at_once = |socket: &Socket| sockopt::tcp_quickack(socket.0.lock().stream.inner()).expect("known");
        let later = |socket: &Socket| sockopt::set_tcp_quickack(socket.0.lock().stream.inner(), false).expect("set");
        later(&socket);
        socket.acknowledge();
        assert!(!at_once(&socket), "nothing was read");

        far.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("sent");
        let mut bytes = [0; 100];
        let mut buf = hyper::rt::ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut socket).poll_read(cx, buf.unfilled())).await.expect("read");
        later(&socket);
        socket.acknowledge();
        assert!(at_once(&socket), "a part of a response was read");

        later(&socket);
        socket.acknowledge();
        assert!(!at_once(&socket), "it is acknowledged");
    }
}
