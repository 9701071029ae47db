//! An HTTP/1.1 connection to an instance.
//!
//! The task that waits for a response drives the connection, instead of a task of its own: that
//! saves two hops between tasks on each request. An idle connection is therefore not driven at all;
//! whether its server has closed it is checked before it is used ([`super::idle_connections`]).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use connections::WorkerId;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

use super::client;
use super::early_response::EarlyResponse;
use super::error::ResponseError;
use super::inline_waker::InlineWaker;
use super::socket::Socket;
use crate::config::Config;
use crate::framing;
use crate::headers::{KEEP_ALIVE, Stamp};
use crate::request_body::RequestBody;

type Driven = Pin<Box<http1::Connection<EarlyResponse<Socket>, RequestBody>>>;

enum Driver {
    /// Driven by the task that waits for the response.
    Inline(Driven),
    /// Driven by a task of its own.
    Task,
    /// The connection is closed.
    Closed,
}

/// A connection to an instance's server.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    socket: Socket,
    /// Another response may follow the last one.
    reusable: bool,
    /// Idle time after which the server closes it, by its `Keep-Alive` (RFC 2068, 19.7.1).
    pub announced: Option<Duration>,
    /// Wakes driver and response.
    waker: InlineWaker,
    /// Counts it as one of its instance's open connections.
    pub counted: Option<Arc<()>>,
}

/// The `timeout` parameter of a `Keep-Alive` field, in whole seconds; servers round it down.
fn timeout(field: &HeaderValue) -> Option<Duration> {
    let parameters = field.to_str().ok()?.split(',');
    let timeout = parameters.filter_map(|one| one.trim().split_once('=')).find(|(name, _)| *name == "timeout")?;
    timeout.1.trim().parse().ok().map(Duration::from_secs)
}

impl Driver {
    /// Transfers available bytes in both directions.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Inline(driven) = self
            && driven.as_mut().poll(cx).is_ready()
        {
            // Its error reaches the response or its body.
            *self = Self::Closed;
        }
    }
}

/// A request without a response.
pub(crate) struct NoResponse {
    pub error: ResponseError,
    /// The request, when nothing of it was sent.
    pub unsent: Option<Request<RequestBody>>,
}

impl Connection {
    /// A connection over an open stream.
    pub async fn over(stream: TcpStream, config: &Config) -> io::Result<Self> {
        let socket = Socket::new(stream, config);
        let io = EarlyResponse::over(socket.clone());
        let (sender, driven) = client::http1_short_heads(config).handshake(io).await.map_err(io::Error::other)?;
        Ok(Self {
            sender,
            driver: Driver::Inline(Box::pin(driven)),
            socket,
            reusable: true,
            announced: None,
            waker: InlineWaker::default(),
            counted: None,
        })
    }

    /// Polls what arrives over this connection, and drives it.
    pub fn poll<T>(&mut self, cx: &mut Context<'_>, mut waiting: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let Self { driver, waker, socket, .. } = self;
        let polled = waker.poll(cx, |cx| {
            driver.drive(cx);
            waiting(cx)
        });
        if polled.is_pending() {
            socket.acknowledge();
        }
        polled
    }

    /// Its socket.
    pub fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// Whether neither side has closed it, as far as the kernel knows, and its last response is
    /// complete.
    pub fn is_open(&self) -> bool {
        self.reusable && !self.sender.is_closed() && self.socket.is_silent()
    }

    /// The worker whose runtime polls its socket.
    pub fn worker(&self) -> WorkerId {
        self.socket.worker()
    }

    /// Moves an idle one to the calling thread's runtime.
    pub fn move_here(&self) -> io::Result<()> {
        self.socket.move_here()
    }

    /// Whether a request can be sent now; false also when the server has closed the connection
    /// meanwhile.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, waker, .. } = self;
        poll_fn(|cx| {
            waker.poll(cx, |cx| {
                driver.drive(cx);
                Poll::Ready(matches!(sender.poll_ready(cx), Poll::Ready(Ok(()))))
            })
        })
        .await
    }

    /// Sends a request, with its stamp, and waits for the response head.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
        stamp: Stamp<'_>,
    ) -> Result<Response<Incoming>, Box<NoResponse>> {
        let method = request.method().clone();
        let Self { sender, driver, waker, socket, reusable, announced, .. } = self;
        socket.begin(stamp);
        // It wakes the driver, which is polled next in any case.
        let sent = waker.without_wake(|| sender.try_send_request(request));
        // A server that sends without a pause uses up the task's cooperative budget, and a response
        // that has arrived would not be polled.
        let mut response = pin!(unconstrained(sent));
        let received = poll_fn(|cx| {
            let polled = waker.poll(cx, |cx| {
                driver.drive(cx);
                if socket.has_too_many_interim() { Poll::Ready(None) } else { response.as_mut().poll(cx).map(Some) }
            });
            if polled.is_pending() {
                // A response head may arrive in pieces too.
                socket.acknowledge();
            }
            polled
        })
        .await;
        let unusable = |error| Box::new(NoResponse { error, unsent: None });
        let mut response = match received.ok_or_else(|| unusable(ResponseError::TooManyInterim))? {
            Ok(response) => response,
            Err(mut refused) => {
                let unsent = refused.take_message();
                return Err(Box::new(NoResponse { error: refused.into_error().into(), unsent }));
            }
        };
        if let Some(extra) = socket.take_extra_headers() {
            response.headers_mut().extend(extra);
        }
        *announced = response.headers().get(&KEEP_ALIVE).and_then(timeout);
        let status = response.status();
        *reusable =
            framing::of_response(&method, status, response.headers_mut()).map_err(|error| unusable(error.into()))?;
        Ok(response)
    }

    /// Drives it in a task of its own, which ends with the connection: the rest of the request's
    /// body must be sent whether or not the response is read.
    pub fn detach(&mut self) {
        if let Driver::Inline(driven) = std::mem::replace(&mut self.driver, Driver::Task) {
            tokio::spawn(async move {
                // Its error reaches the response's body.
                drop(driven.await);
            });
        }
    }
}
