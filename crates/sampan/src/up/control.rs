//! The control address: API, registry, health and metrics under one router.

use std::net::SocketAddr;

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Serves the control address until `shutdown`, then lets requests under way end.
pub async fn serve(
    listener: impl Listener<Io = TcpStream, Addr = SocketAddr>,
    api: Router,
    registry: Router,
    gateway_url: String,
    utc_offset: api::UtcOffset,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) {
    let version = env!("CARGO_PKG_VERSION");
    let health = json!({"status": "ok", "version": version, "gateway": gateway_url, "utc_offset": utc_offset});
    let router = Router::new()
        .route("/healthz", get(move || async move { Json(health) }))
        .route(
            "/metrics",
            get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) }),
        )
        .merge(registry)
        .merge(api);
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the control address ended");
    }
}
