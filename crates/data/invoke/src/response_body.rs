//! The body of a response on its way to the caller. It owns the invocation: the last byte ends it,
//! and so does the deadline, a broken connection, or a caller that drops it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use types::{RunStatus, error_chain};

use crate::call::BoxError;
use crate::failure::Failure;
use crate::headers;
use crate::invocation::{Ending, Invocation};
use crate::request_body::{BodyWatch, Progress};
use crate::upstream::{Connection, poll_frame};

/// A body that streams from an instance.
pub(crate) struct ResponseBody {
    body: Incoming,
    left_bytes: u64,
    /// `None` once the body has ended.
    flowing: Option<Flowing>,
}

struct Flowing {
    invocation: Invocation,
    /// `None` where requests share one.
    connection: Option<Connection>,
    request_body: Option<Arc<BodyWatch>>,
    deadline: Instant,
    /// Created at the first wait: most bodies arrive with their head.
    timer: Option<Pin<Box<Sleep>>>,
    /// For an asynchronous call: resolves when it is terminated.
    canceled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// Why the platform cut a response off: the error of its body.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CutOff {
    /// The status of the run.
    pub status: RunStatus,
    message: String,
}

impl ResponseBody {
    /// The body of a response whose head has arrived; `None` when it has none, which ends the
    /// invocation.
    pub fn begin(
        invocation: Invocation,
        mut connection: Option<Connection>,
        body: Incoming,
        request_body: Option<Arc<BodyWatch>>,
    ) -> Option<Self> {
        let left_bytes = match invocation.context.config.web_response_bytes_max {
            0 => u64::MAX,
            bytes_max => bytes_max,
        };
        if request_body.as_ref().is_some_and(|watch| watch.progress() == Progress::Flowing) {
            connection.iter_mut().for_each(Connection::detach);
        }
        let deadline = invocation.deadline();
        let canceled = invocation.cancellation().map(|cancellation| Box::pin(cancellation.requested_owned()));
        let flowing = Flowing { invocation, connection, request_body, deadline, timer: None, canceled };
        if body.is_end_stream() {
            flowing.complete();
            return None;
        }
        Some(Self { body, left_bytes, flowing: Some(flowing) })
    }

    fn cut_off(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let error = CutOff { status: failure.status, message: failure.message.clone() };
        if let Some(flowing) = self.flowing.take() {
            flowing.invocation.finish_later(Ending::Failed(failure));
        }
        Poll::Ready(Some(Err(Box::new(error))))
    }

    fn canceled(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let failure = Failure::terminated();
        let error = CutOff { status: failure.status, message: failure.message.clone() };
        if let Some(flowing) = self.flowing.take() {
            let ending = flowing.invocation.cancellation().cloned().map_or(Ending::Failed(failure), Ending::Canceled);
            flowing.invocation.finish_later(ending);
        }
        Poll::Ready(Some(Err(Box::new(error))))
    }

    fn broken(&mut self, error: hyper::Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(flowing) = self.flowing.take() {
            let failure = flowing.request_body.as_ref().and_then(|body| body.failure());
            let ending = failure.map_or_else(|| Ending::Broken(error_chain(&error)), Ending::Failed);
            flowing.invocation.finish_later(ending);
        }
        Poll::Ready(Some(Err(error.into())))
    }

    fn complete(&mut self) {
        if let Some(flowing) = self.flowing.take() {
            flowing.complete();
        }
    }
}

impl Flowing {
    /// Whether the deadline has passed; where the body `waits`, the task is woken when it does.
    fn poll_deadline(&mut self, waits: bool, cx: &mut Context<'_>) -> bool {
        // Checked first: a server that sends without a pause uses up the task's cooperative budget,
        // and a timer polled after that stays pending for ever.
        if Instant::now() >= self.deadline {
            return true;
        }
        if !waits {
            return false;
        }
        let deadline = self.deadline;
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut().poll(cx).is_ready()
    }

    fn complete(self) {
        if self.request_body.is_none_or(|watch| watch.progress() == Progress::Complete) {
            self.connection.into_iter().for_each(|connection| self.invocation.recycle_connection(connection));
        }
        self.invocation.finish_later(Ending::Success);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(flowing) = &mut this.flowing else { return Poll::Ready(None) };
        let polled = poll_frame(flowing.connection.as_mut(), &mut this.body, cx);
        if flowing.canceled.as_mut().is_some_and(|canceled| canceled.as_mut().poll(cx).is_ready()) {
            return this.canceled();
        }
        // A server that sends without a pause is stopped too.
        if flowing.poll_deadline(polled.is_pending(), cx) {
            let failure = flowing.invocation.timed_out();
            return this.cut_off(failure);
        }
        let mut frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return this.broken(error),
            None => {
                this.complete();
                return Poll::Ready(None);
            }
        };
        if let Some(trailers) = frame.trailers_mut() {
            headers::of_trailers(trailers);
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left_bytes) = this.left_bytes.checked_sub(bytes) else {
            let limit = flowing.invocation.context.config.web_response_limit();
            return this.cut_off(Failure::response_too_large(limit));
        };
        this.left_bytes = left_bytes;
        // hyper does not poll again after the last frame: the end must be detected with it.
        if frame.is_trailers() || this.body.is_end_stream() {
            this.complete();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.flowing.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
