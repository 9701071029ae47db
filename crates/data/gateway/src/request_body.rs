//! A client's body, with a stall timeout.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::client_headers;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The client kept its connection open but sent nothing.
    #[error("the client sent nothing of its request body for {0:?}")]
    Stalled(Duration),
    /// The client disconnected or violated the protocol.
    #[error("the request body cannot be read")]
    Read(#[source] hyper::Error),
}

/// Bytes that are still read of a dropped body.
const DRAIN_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest time that such a body is read.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// A request body. One that is dropped before its end, such as one that is too large, is drained
/// for a while: a client that is still sending only then reads the response, and sees a reset
/// connection otherwise.
#[derive(Debug)]
pub struct RequestBody<B: Drain> {
    /// `None` once it is being drained.
    body: Option<B>,
    stall: Duration,
    /// Created at the first wait: most bodies arrive with their headers.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

/// A body on its way to a function.
pub enum Payload {
    /// Streamed.
    Streaming(RequestBody<Incoming>),
    /// Buffered, since its signature was checked.
    Whole(Bytes),
}

/// A body that can be drained by its own task.
pub trait Drain: Body<Data = Bytes, Error = hyper::Error> + Unpin + Send + 'static {}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin + Send + 'static> Drain for B {}

impl<B: Drain> RequestBody<B> {
    /// `body`, whose reader waits for each frame for at most `stall`.
    pub fn new(body: B, stall: Duration) -> Self {
        Self { body: Some(body), stall, timer: None, waiting: false }
    }

    /// Polls the stall timer: an error once `stall` has passed.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<RequestBodyError> {
        let deadline = Instant::now() + self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| RequestBodyError::Stalled(self.stall))
    }
}

impl<B: Drain> Drop for RequestBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Outside a runtime there is no connection to read from.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_MAX, drain(body)));
        }
    }
}

async fn drain(mut body: impl Drain) {
    let mut left = DRAIN_BYTES_MAX;
    // An error is the end of the connection: no response is read there.
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl<B: Drain> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(mut frame) => {
                this.waiting = false;
                if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
                    // Proxies do not set forwarding headers in trailers.
                    client_headers::sanitize(trailers, false);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Read)))
            }
            Poll::Pending => this.poll_stall(context).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, B::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;
    use http_body_util::{LengthLimitError, Limited};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_in_an_error_and_a_slow_one_does_not() {
        let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(1);
        let mut upload = RequestBody::new(body, Duration::from_secs(5));
        for pause_s in [0, 4, 4] {
            let next = async {
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
                sender.send_data(Bytes::from_static(b"x")).await.expect("the reader is there");
            };
            let (frame, ()) = tokio::join!(upload.frame(), next);
            assert!(frame.expect("a frame").is_ok());
        }
        let error = upload.frame().await.expect("an error").expect_err("nothing came");
        assert!(matches!(error, RequestBodyError::Stalled(_)), "{error}");
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_is_read_on() {
        let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(1);
        drop(RequestBody::new(body, Duration::from_secs(5)));
        for _ in 0..10 {
            sender.send_data(Bytes::from_static(b"x")).await.expect("it is read");
        }
    }

    #[tokio::test]
    async fn a_bounded_reader_of_it_sees_the_bound() {
        let body = http_body_util::Full::new(Bytes::from_static(b"12345")).map_err(|never| match never {});
        let read = Limited::new(RequestBody::new(body, Duration::from_secs(1)), 4).collect().await;
        assert!(read.expect_err("too long").downcast_ref::<LengthLimitError>().is_some());
    }
}
