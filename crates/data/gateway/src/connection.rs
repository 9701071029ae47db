//! One client's connection: HTTP/1.1 or HTTP/2 by its first bytes, watched until it ends.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use crate::activity::{Activity, Verdict};
use crate::client_io::ClientIo;
use crate::config::Config;
use crate::forward::Peer;
use crate::heads::HeadLimits;
use crate::service::{Client, Shared};
use crate::tls::Tls;

/// Whether connections may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// They may.
    Open,
    /// Requests under way may end; no new ones.
    Draining,
    /// Nothing may.
    Cut,
}

/// How connections speak HTTP.
pub fn protocol(config: &Config) -> auto::Builder<TokioExecutor> {
    let HeadLimits { headers_max, bytes_max } = HeadLimits::new(config).of_library();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The time for headers is watched by `activity`, which also covers the bytes before the version is known.
        .header_read_timeout(None)
        .max_headers(headers_max)
        .max_buf_size(bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(config.h2_streams_max)
        .max_header_list_size(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    builder
}

/// A connection that was taken.
pub struct Opened {
    /// Its socket.
    pub socket: TcpStream,
    /// Where its client is.
    pub address: SocketAddr,
    /// What it speaks before HTTP; nothing for a plain one.
    pub tls: Option<Arc<Tls>>,
}

/// Serves a connection until its client, its inactivity or the gateway's end closes it, or it becomes something else than
/// HTTP: whoever it is for then goes on with it.
pub async fn run(
    Opened { socket, address, tls }: Opened,
    shared: Arc<Shared>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    mut phase: watch::Receiver<Phase>,
) {
    // A socket that is gone already shows at the first read.
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else { return serve(socket, (address, false), shared, protocol, phase).await };
    let stream = tokio::select! {
        biased;
        // Nothing was asked for yet that could be lost.
        _ = phase.changed() => return,
        stream = tls.accept(socket) => stream,
    };
    match stream {
        Some(stream) => serve(stream, (address, true), shared, protocol, phase).await,
        None => shared.meters.connections_dropped.increment(1),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (address, is_secure): (SocketAddr, bool),
    shared: Arc<Shared>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    mut phase: watch::Receiver<Phase>,
) {
    let activity = Activity::new();
    let peer = Peer::new(address.ip(), is_secure, shared.trust_forwarded);
    let client = Arc::new(Client::new(shared.clone(), peer, activity.clone()));
    let service = service_fn(move |request| client.clone().answer(request));
    let mut serving =
        pin!(protocol.serve_connection_with_upgrades(TokioIo::new(ClientIo::new(stream, activity.clone())), service));
    let look = shared.patience.interval();
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
            served = serving.as_mut() => return log_end(address, served),
            _ = looks.tick() => match activity.verdict(shared.patience) {
                Verdict::Keep => {}
                // Over HTTP/2 the client answers a goodbye; one that has not by now never will.
                Verdict::CloseGently if leaving => return,
                Verdict::CloseGently => {
                    leaving = true;
                    serving.as_mut().graceful_shutdown();
                }
                Verdict::CloseNow(reason) => {
                    shared.meters.connections_dropped.increment(1);
                    tracing::debug!(%address, reason, "connection dropped");
                    return;
                }
            },
        }
    }
}

/// Broken connections are the clients' everyday life, not an error of ours.
fn log_end(address: SocketAddr, served: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = served {
        tracing::debug!(%address, %error, "connection ended");
    }
}
