//! The public HTTP of functions: from a client's connection to one call of [`invoke`], and back.
//!
//! Owns what connections speak (HTTP/1.1 and HTTP/2, with and without TLS), how an address names a function, what a proxy adds to a request,
//! and the HTTP shape of event functions. Must not know images, SQL or processes.
//!
//! A request is read left to right: `connections` → `connection` → `service` → `domain`, or `route` and `find` (pure, over one
//! snapshot of the catalog) → `limits` → `forward` (pure) → `Invoker::web`, or `event` with `integration` (pure) → `Invoker::event`.
#![forbid(unsafe_code)]

mod answer;
mod client_headers;
mod config;
mod connection;
mod domain;
mod event;
mod find;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod heads;
mod host;
mod integration;
mod limits;
mod meters;
mod query;
mod reason;
mod response_body;
mod route;
mod service;
mod tls;
mod upload;

use std::sync::Arc;

use invoke::Invoker;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::SharedCatalog;

use crate::connection::Entrance;

pub use config::Config;
pub use limits::{Functions, InvalidFunctions, RouteLimit};
pub use tls::{CertificateError, CertificateFiles, Tls};

/// What the gateway listens on.
#[derive(Debug)]
pub struct Listeners {
    /// For plain HTTP.
    pub plain: TcpListener,
    /// For TLS, where there is some.
    pub tls: Option<(TcpListener, Arc<Tls>)>,
}

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    accepting: Vec<JoinHandle<()>>,
    tls: Option<Arc<Tls>>,
}

impl Gateway {
    /// Serves the listeners until `shutdown`; then takes no connection more and lets requests under way end within
    /// [`Config::drain_s`].
    pub fn serve(
        listeners: Listeners,
        invoker: Invoker,
        catalog: SharedCatalog,
        config: Config,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = service::Shared::new(invoker, catalog, &config);
        let connections = connection::table(&config);
        let tls = listeners.tls.as_ref().map(|(_, tls)| tls.clone());
        let secure = listeners.tls.map(|(listener, tls)| (listener, Some(tls)));
        let entrances = [(listeners.plain, None)].into_iter().chain(secure);
        let enter = |(listener, tls)| {
            let entrance = Entrance { listener, tls, connections: connections.clone() };
            tokio::spawn(connection::run(entrance, shared.clone(), config.clone(), shutdown.clone()))
        };
        let mut accepting: Vec<JoinHandle<()>> = entrances.map(enter).collect();
        accepting.extend(tls.clone().map(|tls| {
            let follow = move || tls.clone().follow_files(shutdown.clone());
            tokio::spawn(supervisor::restarting("certificates", follow))
        }));
        Self { accepting, tls }
    }

    /// Has the certificates read again.
    pub fn reload(&self) {
        if let Some(tls) = &self.tls {
            tls.reload();
        }
    }

    /// Resolves when the gateway has stopped and every connection is closed.
    pub async fn join(self) {
        for task in self.accepting {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gateway failed");
            }
        }
    }
}
