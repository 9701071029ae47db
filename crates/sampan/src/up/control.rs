//! The control address: API, registry, health and metrics on one router, over connections with
//! limits for unauthenticated clients.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use connections::{
    Accepted, Acceptor, ConnectionState, Connections, FrameLimits, RequestGuard, TableMetrics, Timeouts,
};
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use metrics::{counter, gauge};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use types::SharedCatalog;

use super::metrics::Metrics;
use crate::settings::ControlConfig;

/// The address of the instance that reaches the control address as this client, by the relay to the
/// machine's ports.
pub type InstanceBehind = Arc<dyn Fn(SocketAddr) -> Option<IpAddr> + Send + Sync>;

/// Routers of the control address.
pub struct Routes {
    /// API and administration.
    pub api: Router,
    /// The registry and its routes.
    pub registry: registry::Registry,
    pub registry_routes: Router,
    /// Health endpoints.
    pub health: Router,
    /// Handler of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Finds the instance behind a client.
    pub instance_behind: InstanceBehind,
    /// Hosts of functions, which only the gateway serves.
    pub hosts: FunctionHosts,
}

/// Hosts of functions. The API must not accept a signature made for one of them: such a signature
/// does not cover the action.
pub struct FunctionHosts {
    /// `gateway.domains`.
    pub domains: Vec<String>,
    /// Custom domains.
    pub catalog: SharedCatalog,
}

impl FunctionHosts {
    /// Whether the request's target (the only place in HTTP/2) or its header `Host` names one.
    fn are_named<B>(&self, request: &Request<B>) -> bool {
        let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let target = request.uri().authority().map(|authority| authority.as_str());
        header.into_iter().chain(target).any(|host| self.is_one(host))
    }

    fn is_one(&self, host: &str) -> bool {
        self.has(&host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase())
    }

    /// Whether a lower-case name without a final dot is one.
    pub fn has(&self, name: &str) -> bool {
        let bare = |domain: &String| domain.trim_matches(['*', '.']).to_ascii_lowercase();
        self.domains.iter().map(bare).any(|domain| name.strip_suffix(&domain).is_some_and(|left| left.ends_with('.')))
            || self.catalog.load().domains.contains_key(name)
    }
}

impl Routes {
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

fn protocol(config: &ControlConfig) -> auto::Builder<TokioExecutor> {
    let head_bytes_max = config.request_head_bytes_max.max(8 * 1024);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `connections` enforces the timeouts.
    builder.http1().header_read_timeout(None).max_buf_size(usize::try_from(head_bytes_max).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(config.h2_streams_max)
        .max_header_list_size(head_bytes_max);
    builder
}

fn frame_limits(config: &ControlConfig) -> FrameLimits {
    FrameLimits { burst_max: config.h2_control_frames_max, per_second_max: config.h2_control_frames_per_s_max }
}

/// Serves the control address until `shutdown`, then waits for requests in flight, at most `drain`.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    config: ControlConfig,
    drain: Duration,
    shutdown: CancellationToken,
) {
    let metrics = TableMetrics {
        open: gauge!("sampan_control_connections"),
        dropped: counter!("sampan_control_connections_dropped_total"),
        evicted: counter!("sampan_control_connections_evicted_total"),
    };
    let acceptor = Acceptor {
        name: "control address",
        listener: listener.into(),
        connections: Connections::new(config.connections_max, metrics),
        // The kernel enforces write timeouts, because it sees partial progress of a slow reader:
        // `Registry::limit_writes`.
        timeouts: Timeouts::new(config.header_read_timeout_s, config.idle_timeout_s, None),
        workers: None,
        retry: Duration::from_millis(config.accept_retry_ms),
        drain,
    };
    let (router, registry, hosts) = (routes.router(), routes.registry, Arc::new(routes.hosts));
    let instance_behind = routes.instance_behind;
    let (protocol, frames) = (Arc::new(protocol(&config)), frame_limits(&config));
    let serve = move |Accepted { socket, address, connection }: Accepted| {
        registry.limit_writes(&socket);
        let (router, protocol, hosts) = (router.clone(), protocol.clone(), hosts.clone());
        let (state, instance_behind) = (connection.state().clone(), instance_behind.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            // The relay has recorded its connection before it carried the request.
            if let Some(instance) = instance_behind(address) {
                request.extensions_mut().insert(api::FromInstance(instance));
            }
            let router = if hosts.are_named(&request) { of_the_gateway() } else { router.clone() };
            answer(router, state.clone(), address.ip(), request)
        });
        async move { connection.serve(socket, &protocol, frames, None, service).await }
    };
    acceptor.run(shutdown, serve).await;
}

/// Answers requests for hosts of functions with 421.
fn of_the_gateway() -> Router {
    let said = "This host is a function's: call it at the gateway's address. The control address does not serve it.\n";
    Router::new().fallback(move || async move { (StatusCode::MISDIRECTED_REQUEST, said) })
}

/// Address of a request's client.
#[derive(Debug, Clone, Copy)]
struct Caller(IpAddr);

/// Answers a request; the request counts as open until its response body is sent.
async fn answer(
    router: Router,
    state: Arc<ConnectionState>,
    from: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Response<TrackedBody>, Infallible> {
    request.extensions_mut().insert(Caller(from));
    let guard = state.begin(request.version() == Version::HTTP_2);
    let response = hyper::service::Service::call(&TowerToHyperService::new(router), request).await?;
    Ok(response.map(|body| TrackedBody { body, _guard: guard }))
}

/// Response body that holds its request's guard.
struct TrackedBody {
    body: Body,
    _guard: RequestGuard,
}

impl http_body::Body for TrackedBody {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_host_of_a_function_is_seen_in_the_header_and_in_the_target() {
        let hosts = FunctionHosts { domains: vec!["*.fn.localhost".to_owned()], catalog: Arc::default() };
        for (target, header, is_one) in [
            ("/", Some("web.default.fn.localhost"), true),
            ("/", Some("WEB.default.FN.localhost.:80"), true),
            ("http://web.default.fn.localhost/", None, true),
            ("http://web.default.fn.localhost:7070/", Some("127.0.0.1:7070"), true),
            ("/", Some("127.0.0.1:7070"), false),
            ("http://[::1]:7070/", None, false),
            ("/", Some("fn.localhost"), false),
        ] {
            let mut request = Request::builder().uri(target);
            if let Some(host) = header {
                request = request.header(HOST, host);
            }
            let request = request.body(()).expect("a request");
            assert_eq!(hosts.are_named(&request), is_one, "{target} {header:?}");
        }
    }
}
