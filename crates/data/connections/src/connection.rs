//! Serves one client's connection: HTTP/1.1 or HTTP/2 by its first bytes, closed by timeout,
//! eviction or shutdown.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::{self, HttpServerConnExec};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, interval_at};

use crate::client_io::{ClientIo, HeadRefusal};
use crate::frames::FrameLimits;
use crate::gated::Gated;
use crate::metered::Metered;
use crate::table::{Connections, EntryGuard};
use crate::timeouts::{ConnectionState, Decision, Timeouts};

/// The stage of shutdown that connections follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Open,
    /// Requests in flight finish; no new ones begin.
    Draining,
    /// The drain timeout has passed: connections are closed at once.
    Cut,
}

/// An accepted connection: its table entry and its timeouts.
pub struct Connection {
    entry: EntryGuard,
    address: SocketAddr,
    timeouts: Timeouts,
    phase: watch::Receiver<Phase>,
}

impl Connection {
    pub(crate) fn new(
        entry: EntryGuard,
        address: SocketAddr,
        timeouts: Timeouts,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self { entry, address, timeouts, phase }
    }

    /// The connection's state, to be updated by its requests.
    pub fn state(&self) -> &Arc<ConnectionState> {
        &self.entry.state
    }

    /// Resolves when the connection must close before HTTP has begun: on shutdown or eviction.
    pub async fn closing(&mut self) {
        tokio::select! {
            _ = self.phase.changed() => {}
            () = self.entry.evict.notified() => self.entry.connections().metrics().evicted.increment(1),
        }
    }

    /// Counts a connection that timed out or failed before HTTP began.
    pub fn count_dropped(&self) {
        self.entry.connections().metrics().dropped.increment(1);
    }

    /// Serves HTTP until the client, a timeout, an eviction or shutdown closes the connection.
    /// After an upgrade the upgraded stream keeps the connection's table entry. `refusal` answers
    /// heads over HTTP/1.1 that are too large for hyper.
    pub async fn serve<I, S, B>(
        self,
        stream: I,
        protocol: &auto::Builder<TokioExecutor>,
        frames: FrameLimits,
        refusal: Option<HeadRefusal>,
        service: S,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: 'static,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        TokioExecutor: HttpServerConnExec<S::Future, B>,
    {
        let Self { entry, address, timeouts, mut phase } = self;
        let mut policy = ClosePolicy {
            state: entry.state.clone(),
            connections: entry.connections().clone(),
            address,
            timeouts,
            shutting_down: false,
        };
        let evict = entry.evict.clone();
        let io = ClientIo::new(Metered::new(stream, frames), policy.state.clone(), refusal, entry);
        let mut serving = pin!(protocol.serve_connection_with_upgrades(TokioIo::new(io), service));
        let mut checks = interval_at(Instant::now() + timeouts.interval(), timeouts.interval());
        loop {
            let event = {
                let next = pin!(next_event(&mut phase, &evict, &mut checks));
                let mut event = Gated::new(next);
                tokio::select! {
                    biased;
                    // First: a response that is written from here on is marked as the last.
                    event = &mut event => event,
                    served = serving.as_mut() => return policy.ended(served),
                }
            };
            if !matches!(event, Event::Phase(_)) {
                // A request that has arrived keeps the connection from eviction and timeouts.
                if let Poll::Ready(served) = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await {
                    return policy.ended(served);
                }
            }
            match policy.on(&event) {
                Action::Keep => {}
                Action::CloseGently => serving.as_mut().graceful_shutdown(),
                Action::Cut => return,
            }
        }
    }
}

/// Decides what becomes of a connection that is being served.
struct ClosePolicy {
    state: Arc<ConnectionState>,
    connections: Connections,
    address: SocketAddr,
    timeouts: Timeouts,
    /// A timeout has asked the client to end the connection.
    shutting_down: bool,
}

/// What an event means for the connection.
enum Action {
    Keep,
    /// Let requests in flight finish, and take no more.
    CloseGently,
    /// Close it at once.
    Cut,
}

impl ClosePolicy {
    fn on(&mut self, event: &Event) -> Action {
        match event {
            Event::Phase(Phase::Cut) => Action::Cut,
            Event::Phase(_) => Action::CloseGently,
            Event::Evict => self.evict(),
            Event::Check => self.check(),
        }
    }

    /// Evicts the connection unless a request has begun meanwhile.
    fn evict(&self) -> Action {
        if self.state.idle_ms().is_none() {
            return Action::Keep;
        }
        self.connections.metrics().evicted.increment(1);
        tracing::debug!(address = %self.address, "idle connection evicted");
        Action::Cut
    }

    fn check(&mut self) -> Action {
        match self.state.decide(self.timeouts) {
            Decision::Keep => Action::Keep,
            // An HTTP/2 client answers GOAWAY; one that has not within an interval is cut off.
            Decision::CloseGently if std::mem::replace(&mut self.shutting_down, true) => Action::Cut,
            Decision::CloseGently => Action::CloseGently,
            Decision::CloseNow(reason) => {
                self.connections.metrics().dropped.increment(1);
                tracing::debug!(address = %self.address, reason, "connection timed out");
                Action::Cut
            }
        }
    }

    /// Records that HTTP has ended. Clients break connections all the time: debug level.
    fn ended(&self, served: Result<(), Box<dyn Error + Send + Sync>>) {
        self.state.leave_http();
        if let Err(error) = served {
            tracing::debug!(address = %self.address, %error, "connection ended");
        }
    }
}

/// Events of a connection other than its requests.
enum Event {
    /// The shutdown entered another stage.
    Phase(Phase),
    /// The connection was chosen for eviction.
    Evict,
    /// Its timeouts are due.
    Check,
}

async fn next_event(phase: &mut watch::Receiver<Phase>, evict: &Notify, checks: &mut Interval) -> Event {
    tokio::select! {
        biased;
        changed = phase.changed() => Event::Phase(match changed {
            Ok(()) => *phase.borrow_and_update(),
            Err(_) => Phase::Cut,
        }),
        () = evict.notified() => Event::Evict,
        _ = checks.tick() => Event::Check,
    }
}
