//! Wires the gateway: listeners, connections from instances, and sources of asynchronous events.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

use super::Installation;
use super::storage::Storage;
use super::work::Work;
use crate::up::authorizer::Authorizer;
use crate::up::confirmations::Confirmations;
use crate::up::control::FunctionHosts;

/// Default ports of the schemes `http` and `https`.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Serves the gateway on its listeners for plain HTTP and TLS. Also returns the names of the
/// configured certificates.
pub fn serve(
    of: &Installation,
    storage: &Storage,
    work: &Work,
    sandboxes: &sandbox::Sandboxes,
    (plain, tls): (TcpListener, Option<TcpListener>),
) -> anyhow::Result<(gateway::Gateway, Arc<BTreeSet<String>>)> {
    let (settings, catalog) = (&of.settings.gateway, storage.store.catalog());
    let instances = of_instances(sandboxes, plain.local_addr()?.port(), tls.as_ref())?;
    let tls = match tls {
        Some(listener) => Some((listener, gateway::Tls::open(settings, catalog.clone())?)),
        None => None,
    };
    let certificates = if tls.is_some() { settings.certificates.keys().cloned().collect() } else { BTreeSet::new() };
    let hosts = FunctionHosts { domains: settings.domains.clone(), catalog: catalog.clone() };
    sandboxes.set_gateway_names(Arc::new(move |name| hosts.has(name)));
    // One setting for all drains; `stop` aborts requests that outlast it.
    let config = gateway::Config { drain_s: of.settings.shutdown_grace_s, ..settings.clone() };
    let gateway = gateway::Gateway::serve(
        gateway::Listeners { plain, tls, instances },
        work.invoker.clone(),
        catalog,
        Some(asynchronous(of, work)),
        config,
        of.signals.listening.clone(),
    );
    Ok((gateway.context("cannot start the threads of the gateway")?, Arc::new(certificates)))
}

/// Access to the event queue: signed asynchronous calls and webhooks.
fn asynchronous(of: &Installation, work: &Work) -> gateway::Asynchronous {
    let settings = &of.settings;
    let hooks = gateway::Hooks {
        confirm: Arc::new(Confirmations),
        confirm_hosts: settings.gateway.hook_confirm_hosts.clone(),
        sns_unsigned: settings.gateway.sns_unsigned,
        installation: of.names.clone(),
        rate_per_minute_max: settings.triggers.rate_per_minute_max,
    };
    let authorizer = Authorizer { secrets: of.secrets(), clock_window_s: settings.api.clock_window_s };
    gateway::Asynchronous { events: work.events.clone(), authorize: Arc::new(authorizer), hooks }
}

/// Connections of instances to the gateway: on its own ports, whatever its listening addresses are,
/// and on the default ports of the schemes.
fn of_instances(
    sandboxes: &sandbox::Sandboxes,
    plain_port: u16,
    tls: Option<&TcpListener>,
) -> anyhow::Result<Option<gateway::Instances>> {
    let tls_port = tls.map(TcpListener::local_addr).transpose()?.map(|address| address.port());
    let with = |own: u16, of_scheme: u16, other: Option<u16>| match other {
        Some(other) if other == of_scheme => vec![own],
        _ => vec![own, of_scheme],
    };
    let Some(plain) = sandboxes.gateway_connections(&with(plain_port, HTTP_PORT, tls_port)) else { return Ok(None) };
    let tls = tls_port.and_then(|own| sandboxes.gateway_connections(&with(own, HTTPS_PORT, Some(plain_port))));
    Ok(Some(gateway::Instances { plain, tls }))
}
