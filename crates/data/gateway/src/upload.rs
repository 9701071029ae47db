//! The body that a client sends, with a bound on how long it may send nothing. Must not know who reads it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client kept its connection open but sent nothing.
    #[error("the client sent nothing of its request body for {0:?}")]
    Stalled(Duration),
    /// The client went away or broke the protocol.
    #[error("the request body cannot be read")]
    Read(#[source] hyper::Error),
}

/// A request body.
#[derive(Debug)]
pub struct Upload<B> {
    body: B,
    stall: Duration,
    /// Made at the first wait: most bodies come with their headers.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> Upload<B> {
    /// `body`, of which the next frame may keep its reader waiting for `stall`.
    pub fn new(body: B, stall: Duration) -> Self {
        Self { body, stall, timer: None, waiting: false }
    }

    /// Resolves the wait: an error once it has lasted for `stall`.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<UploadError> {
        let deadline = Instant::now() + self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| UploadError::Stalled(self.stall))
    }
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for Upload<B> {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Read)))
            }
            Poll::Pending => this.poll_stall(context).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;
    use http_body_util::{BodyExt, LengthLimitError, Limited};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_in_an_error_and_a_slow_one_does_not() {
        let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(1);
        let mut upload = Upload::new(body, Duration::from_secs(5));
        for pause_s in [0, 4, 4] {
            let next = async {
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
                sender.send_data(Bytes::from_static(b"x")).await.expect("the reader is there");
            };
            let (frame, ()) = tokio::join!(upload.frame(), next);
            assert!(frame.expect("a frame").is_ok());
        }
        let error = upload.frame().await.expect("an error").expect_err("nothing came");
        assert!(matches!(error, UploadError::Stalled(_)), "{error}");
    }

    #[tokio::test]
    async fn a_bounded_reader_of_it_sees_the_bound() {
        let body = http_body_util::Full::new(Bytes::from_static(b"12345")).map_err(|never| match never {});
        let read = Limited::new(Upload::new(body, Duration::from_secs(1)), 4).collect().await;
        assert!(read.expect_err("too long").downcast_ref::<LengthLimitError>().is_some());
    }
}
