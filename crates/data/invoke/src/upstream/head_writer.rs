//! Adds the platform's lines to the head of a request while it is written: as headers of hyper they
//! would be hashed, copied and encoded one by one for each request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::AsyncWrite;

/// Slices of one write; hyper writes the rest with the next.
const SLICES_MAX: usize = 8;

/// Writes the lines of one request after another.
#[derive(Default)]
pub(super) struct HeadWriter {
    /// Lines to add to the next request; empty when there are none.
    lines: Vec<u8>,
    /// Its request line and these lines, once it is being written.
    head: Vec<u8>,
    request_line_len: usize,
    written: usize,
}

impl HeadWriter {
    /// Adds the lines that `add` writes to the next request.
    pub fn begin(&mut self, add: impl FnOnce(&mut Vec<u8>)) {
        self.lines.clear();
        self.head.clear();
        add(&mut self.lines);
    }

    /// Whether writes pass unchanged.
    pub fn is_done(&self) -> bool {
        self.lines.is_empty()
    }

    /// Writes a request's first bytes with the lines inserted. Returns how many of the given bytes
    /// were written.
    pub fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (first, others) = match slices.iter().position(|slice| !slice.is_empty()) {
            Some(at) => (&slices[at], &slices[at + 1..]),
            None => return Poll::Ready(Ok(0)),
        };
        if self.head.is_empty() {
            // hyper has the whole head in one slice.
            let end = memchr(b'\n', first).ok_or_else(|| io::Error::other("a request without a request line"))?;
            (self.request_line_len, self.written) = (end + 1, 0);
            self.head.extend_from_slice(&first[..=end]);
            self.head.extend_from_slice(&self.lines);
        }
        loop {
            let head = &self.head[self.written..];
            let mut parts = [IoSlice::new(&[]); SLICES_MAX];
            (parts[0], parts[1]) = (IoSlice::new(head), IoSlice::new(&first[self.request_line_len..]));
            let more = others.len().min(SLICES_MAX - 2);
            parts[2..2 + more].copy_from_slice(&others[..more]);
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts[..2 + more]))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            if let Some(of_others) = written.checked_sub(head.len()) {
                self.lines.clear();
                return Poll::Ready(Ok(self.request_line_len + of_others));
            }
            self.written += written;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// The bytes that a peer reads of a request in these slices.
    async fn sent(slices: &'static [&'static str], room: usize) -> String {
        let (mut near, mut far) = tokio::io::duplex(room);
        let written = tokio::spawn(async move {
            let mut writer = HeadWriter::default();
            writer.begin(|lines| lines.extend_from_slice(b"x-a: 1\r\nx-b: 2\r\n"));
            let mut rest: Vec<&[u8]> = slices.iter().map(|slice| slice.as_bytes()).collect();
            while rest.iter().any(|slice| !slice.is_empty()) {
                let mut written = poll_fn(|cx| {
                    let slices: Vec<_> = rest.iter().map(|slice| IoSlice::new(slice)).collect();
                    match writer.is_done() {
                        true => Pin::new(&mut near).poll_write_vectored(cx, &slices),
                        false => writer.poll_write(&mut near, cx, &slices),
                    }
                })
                .await
                .expect("written");
                assert!(written > 0);
                for slice in &mut rest {
                    let taken = slice.len().min(written);
                    (*slice, written) = (&slice[taken..], written - taken);
                }
            }
        });
        let mut read = String::new();
        far.read_to_string(&mut read).await.expect("read");
        written.await.expect("no panic");
        read
    }

    #[tokio::test]
    async fn lines_follow_the_request_line_however_little_is_written_at_once() {
        const BODY: &[&str] = &["POST / HTTP/1.1\r\nhost: a\r\n\r\n", "", "one", "two", "3", "4", "5", "6", "7", "8"];
        for room in [1, 3, 20, 40, 4096] {
            assert_eq!(
                sent(BODY, room).await,
                "POST / HTTP/1.1\r\nx-a: 1\r\nx-b: 2\r\nhost: a\r\n\r\nonetwo345678",
                "{room} bytes of room"
            );
        }
    }

    #[tokio::test]
    async fn bytes_without_a_request_line_are_not_sent() {
        let (mut near, _far) = tokio::io::duplex(10);
        let mut writer = HeadWriter::default();
        writer.begin(|lines| lines.extend_from_slice(b"x-a: 1\r\n"));
        poll_fn(|cx| writer.poll_write(&mut near, cx, &[IoSlice::new(b"GET /")])).await.expect_err("no line");
    }
}
