//! The body of a request to an instance: a buffered event, or a caller's streamed body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http_body::{Body as _, Frame, SizeHint};

use crate::call::{Body, BoxError};
use crate::failure::Failure;
use crate::headers;
use crate::limit::Limit;

/// How much of a request's body was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Progress {
    /// More is to come.
    Flowing = 0,
    /// All of the body was handed to the connection.
    Complete = 1,
    /// The body exceeded the limit and was cut off.
    TooLarge = 2,
    /// The caller broke off.
    CallerGone = 3,
}

/// Shared view of a body's progress.
#[derive(Debug)]
pub(crate) struct BodyWatch {
    progress: AtomicU8,
    /// The limit of the body.
    pub limit: Limit,
}

impl BodyWatch {
    pub fn progress(&self) -> Progress {
        match self.progress.load(Ordering::Acquire) {
            0 => Progress::Flowing,
            1 => Progress::Complete,
            2 => Progress::TooLarge,
            _ => Progress::CallerGone,
        }
    }

    /// The failure of the request, where its body caused it.
    pub fn failure(&self) -> Option<Failure> {
        match self.progress() {
            Progress::Flowing | Progress::Complete => None,
            Progress::TooLarge => Some(Failure::request_too_large(self.limit)),
            Progress::CallerGone => Some(Failure::caller_gone()),
        }
    }

    fn set(&self, progress: Progress) {
        self.progress.store(progress as u8, Ordering::Release);
    }
}

/// A request's body.
pub(crate) enum RequestBody {
    /// An event, buffered until it is taken.
    Event(Option<Bytes>),
    /// A web request without a body.
    Empty,
    /// A caller's body, which can be taken once.
    Stream(Box<CallerBody>),
}

/// A streamed body with a limit.
pub(crate) struct CallerBody {
    caller: Body,
    left_bytes: u64,
    watch: Arc<BodyWatch>,
}

/// The body of a request is longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request is longer than allowed")]
struct TooLarge;

impl RequestBody {
    pub fn event(payload: Bytes) -> Self {
        Self::Event(Some(payload))
    }

    /// A caller's body within a limit, and the view of its progress unless it is empty.
    pub fn stream(caller: Body, limit: Limit) -> (Self, Option<Arc<BodyWatch>>) {
        if caller.is_end_stream() {
            return (Self::Empty, None);
        }
        let watch = Arc::new(BodyWatch { progress: AtomicU8::new(Progress::Flowing as u8), limit });
        let left_bytes = if limit.bytes_max == 0 { u64::MAX } else { limit.bytes_max };
        (Self::Stream(Box::new(CallerBody { caller, left_bytes, watch: Arc::clone(&watch) })), Some(watch))
    }

    /// Whether a request with this body that may have been processed can be sent again: only an
    /// idempotent method without a body allows that (RFC 9110, 9.2.2). An event never does, as its
    /// handler may have run.
    pub fn can_retry(&self, method: &Method) -> bool {
        matches!(self, Self::Empty) && method.is_idempotent()
    }
}

impl CallerBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = match ready!(Pin::new(&mut self.caller).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.watch.set(Progress::CallerGone);
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.watch.set(Progress::Complete);
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            let Some(left_bytes) = self.left_bytes.checked_sub(data.len() as u64) else {
                self.watch.set(Progress::TooLarge);
                return Poll::Ready(Some(Err(Box::new(TooLarge))));
            };
            self.left_bytes = left_bytes;
        } else if let Some(trailers) = frame.trailers_mut() {
            headers::of_trailers(trailers);
            headers::strip_reserved(trailers);
            self.watch.set(Progress::Complete);
        }
        if self.caller.is_end_stream() {
            self.watch.set(Progress::Complete);
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Event(payload) => Poll::Ready(payload.take().map(|payload| Ok(Frame::data(payload)))),
            Self::Empty => Poll::Ready(None),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Event(payload) => payload.is_none(),
            Self::Empty => true,
            Self::Stream(stream) => stream.caller.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Event(payload) => SizeHint::with_exact(payload.as_ref().map_or(0, |payload| payload.len() as u64)),
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(stream) => stream.caller.size_hint(),
        }
    }
}
