//! HTTP/1.1 connections to one instance, and what else is kept with it between requests.
//!
//! A connection is driven by whoever waits for its answer, not by a task of its own: that saves two hops between tasks on
//! each request. A kept connection is therefore watched by nobody; whether it still stands is asked before it is used ([`crate::kept`]).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use parking_lot::Mutex;
use pool::Process;
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::Instant;
use types::{CatalogVersion, FunctionKey};

use crate::answer_head::{self, AnswerError, Interim};
use crate::call::Platform;
use crate::config::Config;
use crate::early_answer::EarlyAnswer;
use crate::kept::KeptConnections;
use crate::metering::{OutFlow, Successes};
use crate::nest::Nest;
use crate::socket::Socket;
use crate::upload::Upload;
use crate::{framing, grpc, headers};

type Driven = Pin<Box<http1::Connection<EarlyAnswer<Socket>, Upload>>>;

enum Driver {
    /// By whoever waits for the answer.
    Here(Driven),
    /// By a task of its own.
    Task,
    /// No more: the connection is closed.
    Done,
}

/// A connection to an instance's server.
pub(crate) struct Connection {
    sender: SendRequest<Upload>,
    driver: Driver,
    socket: Socket,
    /// Another answer may follow the last one.
    reusable: bool,
    /// Of the driver and of who waits for its answer.
    nest: Nest,
}

impl Driver {
    /// Moves what can be moved in both directions.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(driven) = self
            && driven.as_mut().poll(cx).is_ready()
        {
            // How it ended reaches whoever waits through the answer or its body.
            *self = Self::Done;
        }
    }
}

/// A request that got no answer.
pub(crate) struct Unanswered {
    pub error: AnswerError,
    /// The request, when nothing of it was sent.
    pub unsent: Option<Request<Upload>>,
}

impl Connection {
    /// A connection over an open stream.
    pub async fn over(stream: TcpStream, config: &Config) -> io::Result<Self> {
        let socket = Socket::new(stream);
        let io = EarlyAnswer::over(socket.clone());
        let (sender, driven) = answer_head::http1(config).handshake(io).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: Driver::Here(Box::pin(driven)), socket, reusable: true, nest: Nest::default() })
    }

    /// Polls something that this connection brings, and drives it.
    pub fn poll<T>(&mut self, cx: &mut Context<'_>, mut waiting: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let Self { driver, nest, socket, .. } = self;
        let polled = nest.poll(cx, |cx| {
            driver.drive(cx);
            waiting(cx)
        });
        if polled.is_pending() {
            socket.acknowledge();
        }
        polled
    }

    /// Whether neither side has closed it, as far as the kernel knows, and nothing of its last answer is still to come.
    pub fn stands(&self) -> bool {
        self.reusable && !self.sender.is_closed() && self.socket.is_silent()
    }

    /// Whether a request can be sent now; false also when the server has closed the connection meanwhile.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, nest, .. } = self;
        poll_fn(|cx| {
            nest.poll(cx, |cx| {
                driver.drive(cx);
                Poll::Ready(matches!(sender.poll_ready(cx), Poll::Ready(Ok(()))))
            })
        })
        .await
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn send(
        &mut self,
        mut request: Request<Upload>,
        config: &Config,
    ) -> Result<Response<Incoming>, Box<Unanswered>> {
        let (interim, method) = (Interim::watch(&mut request, config, &self.socket), request.method().clone());
        // A server that sends without a pause uses up what a task may do at once, and the answer, though it is there, would
        // not be looked at.
        let Self { sender, driver, nest, socket, reusable } = self;
        socket.begin();
        // Sent in the first turn, for it wakes the driver.
        let mut answer = pin!(unconstrained(async { sender.try_send_request(request).await }));
        let answered = poll_fn(|cx| {
            let polled = nest.poll(cx, |cx| {
                driver.drive(cx);
                if interim.is_over() { Poll::Ready(None) } else { answer.as_mut().poll(cx).map(Some) }
            });
            if polled.is_pending() {
                // An answer's head may come in pieces too.
                socket.acknowledge();
            }
            polled
        })
        .await;
        let unusable = |error| Box::new(Unanswered { error, unsent: None });
        let mut response = match answered.ok_or_else(|| unusable(AnswerError::Interim))? {
            Ok(response) => response,
            Err(mut refused) => {
                let unsent = refused.take_message();
                return Err(Box::new(Unanswered { error: refused.into_error().into(), unsent }));
            }
        };
        let status = response.status();
        *reusable =
            framing::of_answer(&method, status, response.headers_mut()).map_err(|error| unusable(error.into()))?;
        Ok(response)
    }

    /// Goes on in a task of its own, which ends with the connection: the rest of the request's body must flow whether or
    /// not anybody reads the answer.
    pub fn detach(&mut self) {
        if let Driver::Here(driven) = std::mem::replace(&mut self.driver, Driver::Task) {
            tokio::spawn(async move {
                // How it ended reaches whoever reads the answer's body.
                drop(driven.await);
            });
        }
    }
}

/// What is kept with an instance: idle connections, at most one for each request that it serves at once, the headers
/// that are the same for all its requests, and what is counted over all of them.
#[derive(Default)]
pub(crate) struct Slot {
    connections: Arc<KeptConnections>,
    calls: grpc::Shared,
    headers: OnceLock<HeaderMap>,
    out_flow: OnceLock<Arc<OutFlow>>,
    successes: OnceLock<Successes>,
    /// When the peak of the instance's memory was read last, and what it was.
    peak: Mutex<Option<(Instant, u64)>>,
}

/// How old the peak of an instance's memory may be in the report of a request that was not alone in it.
const PEAK_AGE_MAX: Duration = Duration::from_millis(1);

impl Slot {
    /// Its idle connections.
    pub fn connections(&self) -> &Arc<KeptConnections> {
        &self.connections
    }

    /// The connection of its gRPC calls.
    pub fn calls(&self) -> &grpc::Shared {
        &self.calls
    }

    /// What the instance of this slot sends to the world outside.
    pub fn out_flow(&self, process: &Arc<dyn Process>, function: &FunctionKey) -> &Arc<OutFlow> {
        self.out_flow.get_or_init(|| Arc::new(OutFlow::new(Arc::clone(process), function.clone())))
    }

    /// The peak of the instance's memory, in bytes, for one of many requests in it: the kernel is not asked for each.
    pub fn peak_bytes(&self, process: &Arc<dyn Process>, now: Instant) -> u64 {
        let mut peak = self.peak.lock();
        match *peak {
            Some((read_at, bytes)) if now.saturating_duration_since(read_at) < PEAK_AGE_MAX => bytes,
            _ => peak.insert((now, process.memory_peak_bytes())).1,
        }
    }

    /// Where successful runs of the instance's version are counted.
    pub fn successes(&self, version: &CatalogVersion) -> &Successes {
        self.successes.get_or_init(|| Successes::of(version))
    }

    /// The platform's headers for the instance's version.
    pub fn headers(&self, version: &CatalogVersion, platform: &Platform) -> &HeaderMap {
        self.headers.get_or_init(|| headers::of_version(version, platform))
    }
}
