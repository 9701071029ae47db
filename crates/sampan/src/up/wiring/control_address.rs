//! Wires the control address: API, administration, registry, health and metrics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Installation;
use super::storage::Storage;
use super::triggers::Triggers;
use super::work::Work;
use crate::up::control::{self, FunctionHosts, Routes};
use crate::up::health::Health;
use crate::up::metrics::Metrics;
use crate::up::signed::Signed;
use crate::up::{administration, bounds, dead_letters, images, secrets, volumes};

/// Parts that the control address serves.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub storage: &'a Storage,
    pub work: &'a Work,
    pub triggers: &'a Triggers,
    pub sandboxes: &'a sandbox::Sandboxes,
}

/// Facts about the installation that clients can see.
pub struct Shown {
    pub gateway_addr: SocketAddr,
    /// Names of the configured certificates; empty without TLS.
    pub certificates: Arc<BTreeSet<String>>,
    pub metrics: Arc<Metrics>,
    /// Reason for which instances have no IPv6, if any.
    pub ipv6_off: Option<&'static str>,
}

/// Serves the control address until the token `answering` is cancelled, after all work has ended.
pub fn serve(of: &Installation, parts: Parts<'_>, listener: TcpListener, shown: Shown) -> JoinHandle<()> {
    let (settings, Parts { storage, work, .. }) = (&of.settings, parts);
    let api = api::Api::new(
        api::Parts {
            store: storage.store.clone(),
            logs: storage.logs.clone(),
            invoker: work.invoker.clone(),
            events: work.events.clone(),
            sources: parts.triggers.sources.clone(),
        },
        of.secrets(),
        of.names.clone(),
        host_environment(of, work, &shown),
        settings.api.clone(),
    );
    let domains = settings.gateway.domains.clone();
    let about = json!({
        "version": env!("CARGO_PKG_VERSION"), "utc_offset": settings.api.utc_offset, "domain": domains.first(),
    });
    let health = Health::new(
        storage.store.clone(),
        work.events.clone(),
        settings.data_dir.clone(),
        about,
        shown.gateway_addr,
        of.signals.listening.clone(),
    );
    let routes = Routes {
        api: api.router().merge(administration(of, parts)),
        registry_routes: storage.own_names.clone().learn_from(storage.registry.router()),
        registry: storage.registry.clone(),
        health: health.router(),
        metrics: shown.metrics,
        instance_behind: instance_behind(parts.sandboxes, &listener),
        hosts: FunctionHosts { domains, catalog: storage.store.catalog() },
    };
    let drain = Duration::from_secs(settings.shutdown_grace_s);
    let serving = control::serve(listener, routes, settings.control.clone(), drain, of.signals.answering.clone());
    tokio::spawn(async move { _ = supervisor::essential("control address", serving).await })
}

/// Finds instances among the clients of a listener.
fn instance_behind(sandboxes: &sandbox::Sandboxes, listener: &TcpListener) -> control::InstanceBehind {
    let (sandboxes, port) = (sandboxes.clone(), listener.local_addr().map(|address| address.port()).ok());
    Arc::new(move |client| sandboxes.instance_behind(client, port?))
}

/// Machine properties and settings that the API validates against.
fn host_environment(of: &Installation, work: &Work, shown: &Shown) -> api::HostEnvironment {
    let settings = &of.settings;
    let public_url = settings.gateway.public_url.clone().map(String::from);
    api::HostEnvironment {
        certificates: shown.certificates.clone(),
        function_domains: settings.gateway.domains.iter().map(|domain| gateway::bare_domain(domain)).collect(),
        runtime: settings.launcher.runtime.clone(),
        runtimes_allowed: settings.launcher.runtimes_allowed.clone(),
        runtime_tag: launcher::RUNTIME_TAG,
        gateway: api::GatewayAddress { listening: Some(shown.gateway_addr), public_url },
        bounds: bounds::of(settings),
        egress_denied: settings.network.egress_denied().into(),
        ipv6_off: shown.ipv6_off,
        call_depth_max: settings.gateway.call_depth_max,
        volumes: Some(Arc::new(volumes::Checked(work.volumes.clone()))),
    }
}

/// Router of the administration endpoints.
fn administration(of: &Installation, Parts { storage, work, .. }: Parts<'_>) -> Router {
    let config = &of.settings.credentials;
    let signed = Signed {
        secrets: of.secrets(),
        clock_window_s: of.settings.api.clock_window_s,
        body_bytes_max: config.admin_body_bytes_max,
        body_timeout: Duration::from_secs(config.admin_body_timeout_s),
    };
    let of_registries = api::registries_admin::Endpoint {
        run: storage.credentials.administration(of.settings.image.registry_client()),
        secrets: signed.secrets.clone(),
        clock_window_s: signed.clock_window_s,
        body_bytes_max: signed.body_bytes_max,
        body_timeout: signed.body_timeout,
    };
    let of_images = images::Administration {
        images: storage.images.clone(),
        registry: storage.registry.clone(),
        store: storage.store.clone(),
        signed: signed.clone(),
    };
    let of_letters = dead_letters::Administration { events: work.events.clone(), signed: signed.clone() };
    let of_volumes = volumes::Administration {
        volumes: work.volumes.clone(),
        store: storage.store.clone(),
        signed: signed.clone(),
        memory: work.memory.clone(),
    };
    let of_secrets =
        secrets::Administration { secrets: storage.secrets.clone(), invoker: work.invoker.clone(), signed };
    api::registries_admin::router(of_registries)
        .merge(administration::router(of_images))
        .merge(administration::router(of_letters))
        .merge(administration::router(of_volumes))
        .merge(administration::router(of_secrets))
}
