//! The public HTTP endpoint of functions: from a client's connection to one call of [`invoke`], and
//! back.
//!
//! ```text
//! connection (TLS, HTTP) ─> service ─> host, domain | route + lookup ─> limits ─> forward
//!                                      (over one snapshot of the catalog)           │
//!                                                                              ResolvedCall
//!                                                                                   │
//!                  response_body <─ Invoker::web, or event + integration ─> Invoker::event
//! ```
//! Pure: `access`, `host`, `domain`, `route`, `lookup`, `last_route`, `forward`, `client_headers`,
//! `integration`, `path_prefix`, `reason_phrase`.
#![forbid(unsafe_code)]

mod access;
mod asynchronous;
mod client_headers;
mod config;
mod connection;
mod domain;
mod error_response;
mod event;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod head_limits;
mod host;
mod integration;
mod last_route;
mod limits;
mod listed_hosts;
mod lookup;
mod meters;
mod path_prefix;
mod public_url;
mod query;
mod reason_phrase;
mod request_body;
mod response_body;
mod route;
mod service;
mod signed;
mod tls;
mod trusted_proxies;

use std::io;
use std::sync::Arc;

use connections::{Incoming, Workers};
use invoke::Invoker;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::SharedCatalog;

use crate::connection::Endpoint;

pub use asynchronous::Asynchronous;
pub use asynchronous::authorize::{Authorize, Signed};
pub use asynchronous::config::{AsyncConfig, InvalidSetting};
pub use asynchronous::hooks::{BoxFuture, Confirm, Hooks};
pub use config::{CertificateFiles, Config};
pub use connections::Handed;
pub use limits::{Functions, InvalidFunctions, RouteLimit};
pub use listed_hosts::{InvalidHost, bare_domain};
pub use public_url::PublicUrl;
pub use tls::{CertificateError, Tls};
pub use trusted_proxies::TrustedProxies;

/// The listeners of the gateway.
#[derive(Debug)]
pub struct Listeners {
    /// For plain HTTP.
    pub plain: TcpListener,
    /// For TLS, if enabled.
    pub tls: Option<(TcpListener, Arc<Tls>)>,
    /// Connections of instances on this machine, where they can reach the gateway.
    pub instances: Option<Instances>,
}

/// Connections of instances, which are identified by their addresses and are not external clients.
#[derive(Debug)]
pub struct Instances {
    /// Those that speak plain HTTP.
    pub plain: mpsc::Receiver<Handed>,
    /// Those that use TLS, if enabled.
    pub tls: Option<mpsc::Receiver<Handed>>,
}

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    accepting: Vec<JoinHandle<()>>,
    tls: Option<Arc<Tls>>,
}

impl Gateway {
    /// Serves the listeners until `shutdown`; then accepts no more connections and lets requests in
    /// flight end within [`Config::drain_s`]. Connections are served by dedicated threads, one for
    /// each processor. Without `asynchronous` there is nothing below `/async/`.
    ///
    /// # Errors
    /// When those threads cannot be started.
    pub fn serve(
        listeners: Listeners,
        invoker: Invoker,
        catalog: SharedCatalog,
        asynchronous: Option<Asynchronous>,
        config: Config,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let context = service::Context::new(invoker, catalog, asynchronous, &config);
        let connections = connection::table(&config);
        let workers = Workers::one_per_processor()?;
        let tls = listeners.tls.as_ref().map(|(_, tls)| tls.clone());
        let mut endpoints = vec![(Incoming::from(listeners.plain), None, false)];
        endpoints.extend(listeners.tls.map(|(listener, tls)| (listener.into(), Some(tls), false)));
        if let Some(instances) = listeners.instances {
            endpoints.push((instances.plain.into(), None, true));
            let secure = instances.tls.zip(tls.clone()).map(|(incoming, tls)| (incoming.into(), Some(tls), true));
            endpoints.extend(secure);
        }
        let serve = |(listener, tls, of_instances)| {
            let (connections, workers) = (connections.clone(), workers.clone());
            let endpoint = Endpoint { listener, tls, connections, workers, of_instances };
            tokio::spawn(connection::run(endpoint, context.clone(), config.clone(), shutdown.clone()))
        };
        let mut accepting: Vec<JoinHandle<()>> = endpoints.into_iter().map(serve).collect();
        accepting.extend(tls.clone().map(|tls| {
            let follow = move || tls.clone().follow_files(shutdown.clone());
            tokio::spawn(supervisor::restarting("certificates", follow))
        }));
        Ok(Self { accepting, tls })
    }

    /// Reloads the certificates.
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
