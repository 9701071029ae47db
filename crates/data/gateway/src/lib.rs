//! The public HTTP of functions: from a client's connection to one call of [`invoke`], and back.
//!
//! Owns connections (HTTP/1.1 and HTTP/2 without TLS), how an address names a function, what a proxy adds to a request,
//! and the HTTP shape of event functions. Must not know images, SQL or processes.
//!
//! A request is read left to right: `accept` → `connection` → `service` → `domain`, or `route` and `find` (pure, over one
//! snapshot of the catalog) → `forward` (pure) → `Invoker::web`, or `event` with `integration` (pure) → `Invoker::event`.
#![forbid(unsafe_code)]

mod accept;
mod activity;
mod answer;
mod client_io;
mod config;
mod connection;
mod domain;
mod event;
mod find;
mod forward;
mod host;
mod integration;
mod meters;
mod query;
mod response_body;
mod route;
mod service;
mod upload;

use invoke::Invoker;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::SharedCatalog;

pub use config::Config;

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    accepting: JoinHandle<()>,
}

impl Gateway {
    /// Serves `listener` until `shutdown`; then takes no connection more and lets requests under way end within
    /// [`Config::drain_s`].
    pub fn serve(
        listener: TcpListener,
        invoker: Invoker,
        catalog: SharedCatalog,
        config: Config,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = service::Shared::new(invoker, catalog, &config);
        Self { accepting: tokio::spawn(accept::run(listener, shared, config, shutdown)) }
    }

    /// Resolves when the gateway has stopped and every connection is closed.
    pub async fn join(self) {
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the gateway's accepting task failed");
        }
    }
}
