//! Wires the crates together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::authorizer::Authorizer;
use super::confirmations::Confirmations;
use super::control;
use super::health::Health;
use super::metrics::Metrics;
use super::own_names::OwnNames;
use super::prepare::Prepare;
use super::registries::InstallationCredentials;
use super::start_check::StartCheck;
use super::temporary;
use crate::credentials::Credentials;
use crate::failure::{Exit, Failure};
use crate::settings::{Connection, Settings};

/// Least time for requests on the control address to finish at shutdown.
const CONTROL_GRACE_MIN: Duration = Duration::from_secs(1);
/// Runs that a stop cuts off and names in the log.
const LOGGED_RUNS_MAX: usize = 100;
/// Longest wait for the last commits of events whose runs were cut off.
const EVENTS_SETTLE_MAX: Duration = Duration::from_secs(5);

/// The running platform.
pub struct RunningPlatform {
    /// Cancels the gateway's listeners: no new work is accepted.
    listening: CancellationToken,
    /// Cancels the listener of the control address, which answers until all work has ended.
    answering: CancellationToken,
    /// Cancels the background tasks.
    running: CancellationToken,
    invoker: invoke::Invoker,
    events: events::Events,
    timers: sources::Timers,
    polling: sources::Polling,
    sandboxes: sandbox::Sandboxes,
    volumes: volumes::Volumes,
    secrets: secrets::Secrets,
    logs: logs::Logs,
    images: image::Images,
    store: store::Store,
    deploy: deploy::Deploy,
    gateway: gateway::Gateway,
    control: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

/// Listening sockets of the gateway.
pub struct Listening {
    /// For plain HTTP.
    pub plain: TcpListener,
    /// For TLS, optional.
    pub tls: Option<TcpListener>,
}

/// Ports by which clients expect plain HTTP and TLS.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Connections of instances to the gateway: by its own ports, whatever addresses it listens on, and
/// by those of the schemes.
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

impl RunningPlatform {
    /// Reloads certificates.
    pub fn reload(&self) {
        self.gateway.reload();
    }

    /// Starts every part, lowest floor first, and removes leftovers of a crash. A failed start
    /// leaves nothing on the machine.
    pub async fn start(
        settings: Settings,
        pair: Credentials,
        last_endpoint: Option<String>,
        control: TcpListener,
        gateway: Listening,
    ) -> anyhow::Result<Self> {
        // Checks first: a failed start must not leave changes of the machine.
        settings.launcher.check_runtimes()?;
        settings
            .events
            .check()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set."))?;
        settings
            .gateway
            .asynchronous
            .check()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set."))?;
        let outbound = outbound::Client::new(&settings.outbound, &Connection::endpoints(&settings.connections))
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set."))?;
        settings
            .triggers
            .check(settings.events.dedup_s)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set."))?;
        settings
            .volumes
            .check()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set."))?;
        if gateway.tls.is_some() {
            gateway::Tls::check(&settings.gateway)?;
        }
        let sandbox_dir = settings.data_dir.join("sandbox");
        let opened = sandbox::Sandboxes::open(&sandbox_dir, settings.sandbox.clone(), settings.network.clone());
        let (sandboxes, recovered) = opened.await.context("cannot prepare the sandbox")?;
        if recovered != sandbox::Recovered::default() {
            tracing::warn!(?recovered, "removed leftovers of an earlier run");
        }
        let started =
            Self::start_parts(sandboxes.clone(), settings, pair, last_endpoint, control, gateway, outbound).await;
        if started.is_err() {
            sandboxes.shutdown().await;
        }
        started
    }

    /// Starts everything above the sandbox.
    async fn start_parts(
        sandboxes: sandbox::Sandboxes,
        settings: Settings,
        pair: Credentials,
        last_endpoint: Option<String>,
        control: TcpListener,
        gateway: Listening,
        outbound: outbound::Client,
    ) -> anyhow::Result<Self> {
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .install_recorder()
            .context("cannot install the metrics recorder")?;
        supervisor::report_panics();
        let metrics = Arc::new(Metrics::open(metrics, &settings.control, &pair)?);
        let bounds = super::bounds::of(&settings);
        let (region, app_id, uin) = (settings.region, settings.app_id, settings.uin);
        let (listening, running) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn({
            let (metrics, running) = (metrics.clone(), running.clone());
            let take = move || metrics.clone().take_samples();
            async move { running.run_until_cancelled(supervisor::restarting("metrics", take)).await }
        });
        let answering = CancellationToken::new();
        let dir = &settings.data_dir;
        let (control_addr, gateway_addr) = (control.local_addr()?, gateway.plain.local_addr()?);
        let store = store::Store::open(&dir.join(super::data_dir::DATABASE), settings.store)
            .await
            .context("cannot open the store")?;
        let logs = logs::Logs::open(&dir.join("logs"), settings.logs).await.context("cannot open the logs")?;
        let own_names = OwnNames::open(&dir.join("registry"), control_addr, last_endpoint.as_deref())?;
        let admin = &settings.credentials;
        let admin_body = (admin.admin_body_bytes_max, Duration::from_secs(admin.admin_body_timeout_s));
        let database = dir.join(super::data_dir::DATABASE);
        let sealed = (!store.catalog().load().secrets.is_empty()).then_some(database.as_path());
        let key = settings.secrets.key(super::registries::named_key())?;
        let (names, config) = (own_names.clone(), settings.credentials);
        let credentials = InstallationCredentials::open(dir, names, &settings.registries, config, (&key, sealed))?;
        let secret_values = secrets::Secrets::open(store.clone(), credentials.sealer(), &database, settings.secrets)
            .context("cannot open the secrets")?;
        let credentials = Arc::new(credentials);
        let images = image::Images::open(&dir.join("images"), settings.image.clone(), credentials.clone())
            .await
            .context("cannot open the image store")?;
        let keys = registry::Credentials { secret_id: pair.secret_id.clone(), secret_key: pair.secret_key.clone() };
        let indexing = images.clone();
        let push_events: registry::PushListener = Arc::new(move |event| match event {
            registry::PushEvent::Blob { digest } => indexing.index_ahead(digest),
            registry::PushEvent::Manifest { .. } => {}
        });
        let registry = registry::Registry::open(
            images.content().clone(),
            &dir.join("registry"),
            keys,
            settings.registry,
            push_events,
        )
        .await
        .context("cannot open the registry")?;
        credentials.set_own(registry.clone());

        let installation = types::Installation { region, app_id, uin };
        let runtime = settings.launcher.runtime.clone();
        let runtimes_allowed = settings.launcher.runtimes_allowed.clone();
        let (of_functions, config) = (installation.clone(), settings.launcher);
        let opening = (dir.join("volumes"), settings.volumes.clone());
        let volumes = tokio::task::spawn_blocking(move || volumes::Volumes::open(&opening.0, opening.1)).await?;
        let volumes = volumes.context("cannot prepare the volumes")?;
        let (of_starts, of_volumes) = (sandboxes.clone(), volumes.clone());
        let launch = launcher::Launcher::new(images.clone(), of_starts, of_volumes, logs.clone(), of_functions, config);
        super::secrets::warn_of_swap();
        let launch = launch.with_secrets(Arc::new(super::secrets::Values(secret_values.clone())));
        let parts = invoke::Parts {
            catalog: store.catalog(),
            changes: store.changes(),
            launch: Arc::new(launch),
            logs: logs.clone(),
            platform: installation.clone(),
            results_dir: dir.join("results"),
        };
        let pool = settings.pool.or_machine_memory(super::bounds::machine_memory_mb());
        let memory = super::volumes::Memory { all_mb: pool.memory_mb_max, set_aside: pool.set_aside.clone() };
        memory.count(&volumes)?;
        let invoker = invoke::Invoker::new(parts, settings.invoke, pool, &running)
            .context("cannot open the folder of results")?;
        let run = Arc::new(invoker.clone());
        let events = events::Events::open_with(dir.join("events.db"), run, outbound, settings.events)
            .await
            .context("cannot open the queue of events")?;
        tokio::spawn({
            let (store, events, running) = (store.clone(), events.clone(), running.clone());
            let look = move || temporary::run(store.clone(), events.clone());
            async move { running.run_until_cancelled(supervisor::restarting("temporary functions", look)).await }
        });
        let starts = StartCheck(invoker.clone());
        let deploy =
            deploy::Deploy::start(store.clone(), Prepare(images.clone()), starts, settings.deploy, running.clone());
        let certificates = settings.gateway.certificates.keys().cloned().collect();
        let tls = match gateway.tls {
            Some(listener) => Some((listener, gateway::Tls::open(&settings.gateway, store.catalog())?)),
            None => None,
        };
        let certificates = Arc::new(if tls.is_some() { certificates } else { BTreeSet::new() });
        let instances = of_instances(&sandboxes, gateway_addr.port(), tls.as_ref().map(|(listener, _)| listener))?;
        let gateway = gateway::Listeners { plain: gateway.plain, tls, instances };
        let domains = settings.gateway.domains.clone();
        let hosts = control::FunctionHosts { domains: domains.clone(), catalog: store.catalog() };
        sandboxes.set_gateway_names(Arc::new(move |name| hosts.has(name)));
        let public_url = settings.gateway.public_url.clone().map(String::from);
        let address = api::GatewayAddress { listening: Some(gateway_addr), public_url };
        // One setting for all drains; `stop` cuts off what has not ended by then.
        let config = gateway::Config { drain_s: settings.shutdown_grace_s, ..settings.gateway };
        let secrets = signature::Secrets { secret_id: pair.secret_id, secret_key: pair.secret_key };
        let authorizer = Authorizer { secrets: secrets.clone(), clock_window_s: settings.api.clock_window_s };
        let hooks = gateway::Hooks {
            confirm: Arc::new(Confirmations),
            confirm_hosts: config.hook_confirm_hosts.clone(),
            sns_unsigned: config.sns_unsigned,
            installation: installation.clone(),
            rate_per_minute_max: settings.triggers.rate_per_minute_max,
        };
        let asynchronous = gateway::Asynchronous { events: events.clone(), authorize: Arc::new(authorizer), hooks };
        let (catalog, shutdown) = (store.catalog(), listening.clone());
        let gateway = gateway::Gateway::serve(gateway, invoker.clone(), catalog, Some(asynchronous), config, shutdown)
            .context("cannot start the threads of the gateway")?;
        let administration = api::registries_admin::router(api::registries_admin::Endpoint {
            run: credentials.administration(settings.image.registry_client()),
            secrets: secrets.clone(),
            clock_window_s: settings.api.clock_window_s,
            body_bytes_max: admin_body.0,
            body_timeout: admin_body.1,
        });
        let signed = super::signed::Signed {
            secrets: secrets.clone(),
            clock_window_s: settings.api.clock_window_s,
            body_bytes_max: admin_body.0,
            body_timeout: admin_body.1,
        };
        let images_administration = super::images::router(super::images::Administration {
            images: images.clone(),
            registry: registry.clone(),
            store: store.clone(),
            signed: signed.clone(),
        });
        let letters_administration = super::dead_letters::router(super::dead_letters::Administration {
            events: events.clone(),
            signed: signed.clone(),
        });
        let volumes_administration = super::volumes::router(super::volumes::Administration {
            volumes: volumes.clone(),
            store: store.clone(),
            signed: signed.clone(),
            memory,
        });
        let secrets_administration = super::secrets::router(super::secrets::Administration {
            secrets: secret_values.clone(),
            invoker: invoker.clone(),
            signed,
        });
        let runtime_tag = launcher::RUNTIME_TAG;
        let egress_denied = settings.network.egress_denied().into();
        let host_environment = api::HostEnvironment {
            certificates,
            runtime,
            runtimes_allowed,
            runtime_tag,
            gateway: address,
            bounds,
            egress_denied,
            volumes: Some(Arc::new(super::volumes::Checked(volumes.clone()))),
        };
        let utc_offset = settings.api.utc_offset;
        let stores = Connection::stores(&settings.connections);
        let names = stores.keys().cloned().collect();
        let sources = sources::Sources::with_connections(settings.triggers, names, installation.clone());
        let (of_timers, clock) = (sources.clone(), sources::Clock::system());
        let timers = sources::Timers::start(of_timers, store.clone(), events.clone(), clock, listening.clone());
        let polling = sources::PollingParts {
            sources: sources.clone(),
            catalog: store.catalog(),
            events: events.clone(),
            connections: Arc::new(stores),
            installation: installation.clone(),
        };
        let polling = sources::Polling::start(polling, listening.clone());
        let parts = api::Parts {
            store: store.clone(),
            logs: logs.clone(),
            invoker: invoker.clone(),
            events: events.clone(),
            sources,
        };
        let api = api::Api::new(parts, secrets, installation, host_environment, settings.api);
        let about = json!({"version": env!("CARGO_PKG_VERSION"), "utc_offset": utc_offset, "domain": domains.first()});
        let health = Health::new(
            store.clone(),
            events.clone(),
            settings.data_dir.clone(),
            about,
            gateway_addr,
            listening.clone(),
        );
        let routes = control::Routes {
            api: api
                .router()
                .merge(administration)
                .merge(images_administration)
                .merge(letters_administration)
                .merge(volumes_administration)
                .merge(secrets_administration),
            registry_routes: own_names.learn_from(registry.router()),
            registry: registry.clone(),
            health: health.router(),
            metrics,
            hosts: control::FunctionHosts { domains, catalog: store.catalog() },
        };
        let drain = Duration::from_secs(settings.shutdown_grace_s);
        let serving = control::serve(control, routes, settings.control, drain, answering.clone());
        let control = tokio::spawn(async move { _ = supervisor::essential("control address", serving).await });
        let sweeping = tokio::spawn(supervisor::restarting("registry sweep", {
            let running = running.clone();
            move || registry.clone().run(running.clone())
        }));
        Ok(Self {
            listening,
            answering,
            running,
            invoker,
            events,
            timers,
            polling,
            sandboxes,
            volumes,
            secrets: secret_values,
            logs,
            images,
            store,
            deploy,
            gateway,
            control,
            sweeping,
        })
    }

    /// Name of the parent cgroup of instances, in every hierarchy.
    pub fn cgroup_name(&self) -> &str {
        self.sandboxes.cgroup_name()
    }

    /// Handle for killing all instances when a graceful stop is not possible.
    pub fn instances(&self) -> sandbox::Sandboxes {
        self.sandboxes.clone()
    }

    /// Events that run.
    pub fn runs(&self) -> usize {
        self.events.under_way().len()
    }

    /// Begins no more runs of events, and waits for those that go on. Everything else goes on too.
    pub async fn drain(&self, longest: Duration) {
        self.events.wait_for_runs(longest).await;
    }

    /// Stops accepting work, waits for work in flight within `grace`, then stops everything and
    /// leaves nothing behind. The last part of the grace, at most half, is for instances that still
    /// have requests, to handle their stop signal.
    pub async fn stop(self, grace: Duration) {
        supervisor::stop();
        self.listening.cancel();
        let stop_grace = self.invoker.stop_grace().min(grace / 2);
        let deadline = Instant::now() + grace - stop_grace;
        let left = || deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left(), self.gateway.join()).await.is_err() {
            tracing::warn!(grace_s = grace.as_secs(), "grace period passed; aborting requests in flight");
        }
        tokio::time::timeout(left(), self.timers.join()).await.ok();
        tokio::time::timeout(left(), self.polling.join()).await.ok();
        if !self.events.drain(left()).await {
            let running = self.events.under_way();
            for (request, function) in running.iter().take(LOGGED_RUNS_MAX) {
                tracing::warn!(%request, %function, "the run of an event outlasts the grace period and is cut off");
            }
            tracing::warn!(
                runs = running.len(),
                "events run again at the next start, unless their function has AsyncRunEnable; [drain_s] waits for them"
            );
        }
        self.invoker.drain(left(), stop_grace).await;
        // Their ends are stored, so that the next start need not take them for killed.
        self.events.drain(EVENTS_SETTLE_MAX).await;
        self.answering.cancel();
        // An open connection to the control address must not delay the stop.
        tokio::time::timeout(left().max(CONTROL_GRACE_MIN), self.control).await.ok();
        self.running.cancel();
        self.deploy.join().await;
        self.sweeping.await.ok();
        self.images.shutdown().await;
        self.sandboxes.shutdown().await;
        self.volumes.close();
        self.secrets.flush();
        self.logs.shutdown().await;
        self.store.close().await;
    }
}
