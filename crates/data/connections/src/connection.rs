//! One client's connection: HTTP/1.1 or HTTP/2 by its first bytes, watched until it ends.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::{self, HttpServerConnExec};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use crate::activity::{Activity, Timeouts, Verdict};
use crate::client_io::ClientIo;
use crate::frames::FrameLimits;
use crate::metered::Metered;
use crate::table::Member;

/// Whether connections may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They may.
    Open,
    /// Requests under way may end; no new ones.
    Draining,
    /// Nothing may.
    Cut,
}

/// A connection's place in the table, and what ends it.
pub struct Connection {
    member: Member,
    address: SocketAddr,
    timeouts: Timeouts,
    phase: watch::Receiver<Phase>,
}

impl Connection {
    pub(crate) fn new(member: Member, address: SocketAddr, timeouts: Timeouts, phase: watch::Receiver<Phase>) -> Self {
        Self { member, address, timeouts, phase }
    }

    /// What its requests mark.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.member.activity
    }

    /// Resolves when it has to go before HTTP has begun: the end has come, or it makes room.
    pub async fn must_go(&mut self) {
        tokio::select! {
            _ = self.phase.changed() => {}
            () = self.member.evict.notified() => self.member.connections().meters().evicted.increment(1),
        }
    }

    /// Counts a client that did not do its part before HTTP began.
    pub fn count_dropped(&self) {
        self.member.connections().meters().dropped.increment(1);
    }

    /// Speaks HTTP until the client, its inactivity, one who needs the room or the end closes the connection, or it becomes
    /// something else than HTTP: whoever it is for then goes on with it, in its place in the table.
    pub async fn serve<I, S, B>(
        self,
        stream: I,
        protocol: &auto::Builder<TokioExecutor>,
        frames: FrameLimits,
        service: S,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: 'static,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        TokioExecutor: HttpServerConnExec<S::Future, B>,
    {
        let Self { member, address, timeouts, mut phase } = self;
        let (activity, evict, connections) =
            (member.activity.clone(), member.evict.clone(), member.connections().clone());
        let io = ClientIo::new(Metered::new(stream, frames), activity.clone(), member);
        let mut serving = pin!(protocol.serve_connection_with_upgrades(TokioIo::new(io), service));
        let look = timeouts.interval();
        let mut looks = interval_at(Instant::now() + look, look);
        let mut leaving = false;
        loop {
            tokio::select! {
                biased;
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Cut {
                        return;
                    }
                    serving.as_mut().graceful_shutdown();
                }
                served = serving.as_mut() => {
                    activity.leave_http();
                    return log_end(address, served);
                }
                () = evict.notified() => if activity.idle_ms().is_some() {
                    connections.meters().evicted.increment(1);
                    tracing::debug!(%address, "connection closed to make room");
                    return;
                },
                _ = looks.tick() => match activity.verdict(timeouts) {
                    Verdict::Keep => {}
                    // Over HTTP/2 the client answers a goodbye; one that has not by now never will.
                    Verdict::CloseGently if leaving => return,
                    Verdict::CloseGently => {
                        leaving = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    Verdict::CloseNow(reason) => {
                        connections.meters().dropped.increment(1);
                        tracing::debug!(%address, reason, "connection dropped");
                        return;
                    }
                },
            }
        }
    }
}

/// Broken connections are the clients' everyday life, not an error of ours.
fn log_end(address: SocketAddr, served: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = served {
        tracing::debug!(%address, %error, "connection ended");
    }
}
