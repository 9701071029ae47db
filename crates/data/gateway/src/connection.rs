//! From a connection to its requests: the TLS handshake, if any, and HTTP.

use std::sync::Arc;
use std::time::Duration;

use connections::{
    Accepted, Acceptor, Connection, Connections, FrameLimits, HeadRefusal, Incoming, TableMetrics, Timeouts, Workers,
};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::forward::Peer;
use crate::head_limits::HeadLimits;
use crate::service::{Client, Context};
use crate::tls::Tls;

/// The connection table of all listeners.
pub fn table(config: &Config) -> Connections {
    let metrics = TableMetrics {
        open: gauge!("sampan_gateway_connections"),
        dropped: counter!("sampan_gateway_connections_dropped_total"),
        evicted: counter!("sampan_gateway_connections_evicted_total"),
    };
    Connections::new(config.connections_max, metrics)
}

/// A source of connections, and their protocol below HTTP.
pub struct Endpoint {
    /// The listener.
    pub listener: Incoming,
    /// `None` for plain connections.
    pub tls: Option<Arc<Tls>>,
    /// The connection table.
    pub connections: Connections,
    /// The threads that serve them.
    pub workers: Workers,
    /// Whether they come from instances.
    pub of_instances: bool,
}

/// Serves an endpoint until `shutdown`, then drains.
pub async fn run(endpoint: Endpoint, context: Arc<Context>, config: Config, shutdown: CancellationToken) {
    let Endpoint { listener, tls, connections, workers, of_instances } = endpoint;
    let stall_s = Some(config.stall_timeout_s);
    let acceptor = Acceptor {
        name: "gateway",
        listener,
        connections,
        timeouts: Timeouts::new(config.header_read_timeout_s, config.idle_timeout_s, stall_s),
        workers: Some(workers),
        retry: Duration::from_millis(config.accept_retry_ms),
        drain: Duration::from_secs(config.drain_s),
    };
    let frames =
        FrameLimits { burst_max: config.h2_control_frames_max, per_second_max: config.h2_control_frames_per_s_max };
    let heads = HeadLimits::new(&config);
    let refusal: HeadRefusal = Arc::new(move || heads.refusal());
    let protocols = Arc::new(Protocols { protocol: protocol(&config), frames, refusal });
    let serve = move |accepted| run_one(accepted, tls.clone(), of_instances, context.clone(), protocols.clone());
    acceptor.run(shutdown, serve).await;
}

/// The HTTP settings of connections.
struct Protocols {
    protocol: auto::Builder<TokioExecutor>,
    frames: FrameLimits,
    refusal: HeadRefusal,
}

fn protocol(config: &Config) -> auto::Builder<TokioExecutor> {
    let limits = HeadLimits::new(config);
    let bytes_max = limits.bytes_max_of_library();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `connections` enforces the header timeout, which also covers the bytes before the version
        // is known.
        .header_read_timeout(None)
        .max_buf_size(bytes_max);
    if let Some(headers_max) = limits.headers_max_of_library() {
        builder.http1().max_headers(headers_max);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(config.h2_streams_max)
        .max_header_list_size(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    builder
}

async fn run_one(
    accepted: Accepted,
    tls: Option<Arc<Tls>>,
    of_instance: bool,
    context: Arc<Context>,
    protocols: Arc<Protocols>,
) {
    let Accepted { socket, address, mut connection } = accepted;
    // A closed socket fails at the first read.
    let _ = socket.set_nodelay(true);
    let (ip, is_secure) = (address.ip(), tls.is_some());
    let peer = match (of_instance, context.trust_forwarded) {
        (true, _) => Peer::instance(ip, is_secure),
        (false, true) => Peer::new(ip, is_secure, true),
        (false, false) => Peer::among(ip, is_secure, &context.trusted_proxies),
    };
    let Some(tls) = tls else { return serve(socket, connection, peer, context, &protocols).await };
    let stream = tokio::select! {
        biased;
        // No request was received yet that could be lost.
        () = connection.closing() => return,
        stream = tls.accept(socket) => stream,
    };
    match stream {
        Some(stream) => serve(stream, connection, peer, context, &protocols).await,
        None => connection.count_dropped(),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    peer: Peer,
    context: Arc<Context>,
    protocols: &Protocols,
) {
    let client = Arc::new(Client::new(context, peer, connection.state().clone()));
    let service = service_fn(move |request| client.clone().answer(request));
    connection.serve(stream, &protocols.protocol, protocols.frames, Some(protocols.refusal.clone()), service).await;
}
