//! The control address: API, registry, health and metrics under one router, on connections that strangers cannot use up.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use connections::{Accepted, Acceptor, Activity, Connections, FrameLimits, Meters, Timeouts, Turn};
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::{Access, Metrics};

/// Table `[control]`: what connections to the control address may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections at once. When there are as many, the longest idle one of the address that has most makes room.
    pub connections_max: usize,
    /// Pause after the system refused a connection, and between looks for room, in milliseconds.
    pub accept_retry_ms: u64,
    /// From a request's first byte (or the connection's opening) to the end of its headers, in seconds.
    pub header_read_timeout_s: u64,
    /// Longest that a connection stays open without a request, in seconds.
    pub idle_timeout_s: u64,
    /// Bytes of a request's line and headers, at least 8 KiB.
    pub request_head_bytes_max: u32,
    /// Requests at once on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Frames of an HTTP/2 connection that carry nothing, at once; a connection with more is closed.
    pub h2_control_frames_max: u32,
    /// The same in each second, on and on.
    pub h2_control_frames_per_s_max: u32,
    /// Who may read `/metrics`: `anyone`, `loopback` (this machine, or whoever has a key) or `key`.
    pub metrics: Access,
    /// A file with a token that reads `/metrics` as bearer, beside the key pair; read at the start.
    pub metrics_token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            accept_retry_ms: 50,
            header_read_timeout_s: 10,
            idle_timeout_s: 75,
            request_head_bytes_max: 64 * 1024,
            h2_streams_max: 64,
            h2_control_frames_max: 2_000,
            h2_control_frames_per_s_max: 500,
            metrics: Access::Anyone,
            metrics_token_file: None,
        }
    }
}

impl Config {
    fn protocol(&self) -> auto::Builder<TokioExecutor> {
        let head_bytes_max = self.request_head_bytes_max.max(8 * 1024);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The times are watched by `connections`.
        builder.http1().header_read_timeout(None).max_buf_size(usize::try_from(head_bytes_max).unwrap_or(usize::MAX));
        builder
            .http2()
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_concurrent_streams(self.h2_streams_max)
            .max_header_list_size(head_bytes_max);
        builder
    }

    fn frames(&self) -> FrameLimits {
        FrameLimits { burst_max: self.h2_control_frames_max, per_second_max: self.h2_control_frames_per_s_max }
    }
}

/// What is served.
pub struct Served {
    /// The API, and what is administered.
    pub api: Router,
    /// The registry, and its routes.
    pub registry: registry::Registry,
    pub registry_routes: Router,
    /// Whether all is well.
    pub health: Router,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

impl Served {
    fn router(&self) -> Router {
        let metrics = self.metrics.clone();
        Router::new()
            .route(
                "/metrics",
                get(move |from: Option<Extension<Caller>>, headers: HeaderMap| async move {
                    metrics.answer(from.map(|Extension(Caller(address))| address), &headers)
                }),
            )
            .merge(self.health.clone())
            .merge(self.registry_routes.clone())
            .merge(self.api.clone())
    }
}

/// Serves the control address until `shutdown`, then lets requests under way end within `drain`.
pub async fn serve(
    listener: TcpListener,
    served: Served,
    config: Config,
    drain: Duration,
    shutdown: CancellationToken,
) {
    let meters = Meters {
        open: gauge!("sampan_control_connections"),
        dropped: counter!("sampan_control_connections_dropped_total"),
        evicted: counter!("sampan_control_connections_evicted_total"),
    };
    let acceptor = Acceptor {
        name: "control address",
        listener,
        connections: Connections::new(config.connections_max, meters),
        // Whether clients read is for the kernel to watch, which sees a slow one read: `Registry::limit_writes`.
        timeouts: Timeouts::new(config.header_read_timeout_s, config.idle_timeout_s, None),
        retry: Duration::from_millis(config.accept_retry_ms),
        drain,
    };
    let (router, registry) = (served.router(), served.registry);
    let (protocol, frames) = (Arc::new(config.protocol()), config.frames());
    let serve = move |Accepted { socket, address, connection }: Accepted| {
        registry.limit_writes(&socket);
        let (router, protocol) = (router.clone(), protocol.clone());
        let activity = connection.activity().clone();
        let service = service_fn(move |request| answer(router.clone(), activity.clone(), address.ip(), request));
        async move { connection.serve(socket, &protocol, frames, service).await }
    };
    acceptor.run(shutdown, serve).await;
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
struct Caller(IpAddr);

/// Answers one request, which lasts until its answer's body is sent.
async fn answer(
    router: Router,
    activity: Arc<Activity>,
    from: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Lasting>, Infallible> {
    request.extensions_mut().insert(Caller(from));
    let turn = activity.begin(request.version() == Version::HTTP_2);
    let response = hyper::service::Service::call(&TowerToHyperService::new(router), request).await?;
    Ok(response.map(|body| Lasting { body, _turn: turn }))
}

/// A body with the request that it answers.
struct Lasting {
    body: Body,
    _turn: Turn,
}

impl http_body::Body for Lasting {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
