//! The body sent to a client. Over HTTP/2 a client can stop reading one stream while the others
//! continue; such a body is pumped by its own task with a timeout, so that it cannot hold an
//! instance for ever.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use connections::RequestGuard;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use invoke::BoxError;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Admitted;

/// Frames that are buffered between the function and one HTTP/2 stream.
const PUMPED_FRAMES_MAX: usize = 1;
/// How long a failed body is held open, so that received bytes are written before the transfer is
/// aborted: the library discards unwritten bytes when a body fails.
const FLUSH: Duration = Duration::from_millis(20);

/// A response body; the request lasts until it is dropped.
pub struct ResponseBody {
    source: Source,
    broken: Option<Broken>,
    request: RequestGuard,
    _admitted: Admitted,
}

/// A failed body, until its reader gets the error.
struct Broken {
    error: Option<BoxError>,
    flush: Pin<Box<Sleep>>,
}

enum Source {
    Direct(invoke::Body),
    Pumped(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>),
}

/// The client did not read a stream.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of the response for {0:?}")]
struct Stalled(Duration);

impl ResponseBody {
    /// For a connection that carries one request at a time: its socket shows whether the client
    /// reads.
    pub fn direct(body: invoke::Body, request: RequestGuard) -> Self {
        Self { source: Source::Direct(body), broken: None, request, _admitted: Admitted::default() }
    }

    /// For one stream of many: `body` is dropped when the stream reads nothing for `stall`.
    pub fn pumped(body: invoke::Body, request: RequestGuard, stall: Duration) -> Self {
        if body.is_end_stream() {
            return Self::direct(body, request);
        }
        let (sender, receiver) = mpsc::channel(PUMPED_FRAMES_MAX);
        // Ends with the body, with the receiver (a stream that is reset), or by the timeout.
        tokio::spawn(pump(body, sender, stall));
        Self { source: Source::Pumped(receiver), broken: None, request, _admitted: Admitted::default() }
    }

    /// The same for a request that counts against limits until it is answered.
    pub fn of(self, admitted: Admitted) -> Self {
        Self { _admitted: admitted, ..self }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.source {
            Source::Direct(body) => Pin::new(body).poll_frame(context),
            Source::Pumped(receiver) => receiver.poll_recv(context),
        }
    }
}

async fn pump(mut body: invoke::Body, sender: mpsc::Sender<Result<Frame<Bytes>, BoxError>>, stall: Duration) {
    loop {
        // A reader that goes away ends the wait for the function's next bytes too.
        let frame = tokio::select! {
            biased;
            () = sender.closed() => return,
            frame = body.frame() => match frame {
                Some(frame) => frame,
                None => return,
            },
        };
        let failed = frame.is_err();
        match tokio::time::timeout(stall, sender.reserve()).await {
            Ok(Ok(slot)) => slot.send(frame),
            Ok(Err(_)) => return,
            Err(_) => {
                drop(body);
                // The stream still exists: it gets the error as soon as its client reads.
                let _ = sender.send(Err(Stalled(stall).into())).await;
                return;
            }
        }
        if failed {
            return;
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.broken.is_none() {
            match ready!(this.poll_source(context)) {
                Some(Err(error)) => {
                    this.broken = Some(Broken { error: Some(error), flush: Box::pin(sleep(FLUSH)) });
                }
                frame => return Poll::Ready(frame),
            }
        }
        let Some(broken) = &mut this.broken else { return Poll::Ready(None) };
        ready!(broken.flush.as_mut().poll(context));
        while this.request.is_write_blocked() {
            // The connection's own timeouts drop a client that reads nothing.
            broken.flush.as_mut().reset(Instant::now() + FLUSH);
            ready!(broken.flush.as_mut().poll(context));
        }
        Poll::Ready(broken.error.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Direct(body) => self.broken.is_none() && body.is_end_stream(),
            Source::Pumped(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Direct(body) => body.size_hint(),
            Source::Pumped(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use http_body_util::channel::Channel;

    use super::*;
    use connections::ConnectionState;

    const STALL: Duration = Duration::from_secs(5);

    fn request() -> RequestGuard {
        ConnectionState::new().begin(true)
    }

    #[tokio::test]
    async fn a_pumped_body_arrives_whole() {
        let body = Full::new(Bytes::from_static(b"all of it")).map_err(|never| match never {}).boxed_unsync();
        let read = ResponseBody::pumped(body, request(), STALL).collect().await.expect("readable");
        assert_eq!(read.to_bytes(), "all of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_takes_nothing_lets_go_of_its_source() {
        let (mut source, body) = Channel::<Bytes, BoxError>::new(1);
        let mut response = ResponseBody::pumped(body.boxed_unsync(), request(), STALL);
        while source.send_data(Bytes::from_static(b"x")).await.is_ok() {}
        assert!(response.frame().await.expect("what was on its way").is_ok());
        assert!(response.frame().await.expect("an error").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_reset_lets_go_of_a_source_that_says_nothing() {
        let (mut source, body) = Channel::<Bytes, BoxError>::new(1);
        drop(ResponseBody::pumped(body.boxed_unsync(), request(), STALL));
        while source.send_data(Bytes::from_static(b"x")).await.is_ok() {}
    }
}
