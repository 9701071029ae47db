//! Wires the crates together, lowest floor first: storage, execution of functions, listeners.

mod control_address;
mod gateway_address;
mod stop;
mod storage;
mod triggers;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::credentials::Credentials;
use crate::settings::{self, Settings};

use self::storage::Storage;
use self::triggers::Triggers;
use self::work::Work;

/// The running platform.
pub struct RunningPlatform {
    signals: StopSignals,
    sandboxes: sandbox::Sandboxes,
    storage: Storage,
    work: Work,
    triggers: Triggers,
    gateway: gateway::Gateway,
    control: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

/// Cancellation tokens, in the order in which they are cancelled.
#[derive(Clone, Default)]
struct StopSignals {
    /// Stops the gateway's listeners, timers and polling: no new work is accepted.
    listening: CancellationToken,
    /// Stops the listener of the control address, after all work has ended.
    answering: CancellationToken,
    /// Stops the background tasks.
    running: CancellationToken,
}

/// Listening sockets.
pub struct Listening {
    /// Of the control address.
    pub control: TcpListener,
    /// Of the gateway, for plain HTTP.
    pub plain: TcpListener,
    /// Of the gateway, for TLS, optional.
    pub tls: Option<TcpListener>,
}

/// Context of all parts above the sandboxes.
struct Installation {
    settings: Settings,
    pair: Credentials,
    /// Region and account of the installation, as functions and clients see them.
    names: types::Installation,
    signals: StopSignals,
}

impl Installation {
    /// Key pair for verifying signatures.
    fn secrets(&self) -> signature::Secrets {
        let Credentials { secret_id, secret_key, .. } = self.pair.clone();
        signature::Secrets { secret_id, secret_key }
    }
}

impl RunningPlatform {
    /// Reloads certificates.
    pub fn reload(&self) {
        self.gateway.reload();
    }

    /// Starts every part, lowest floor first, and removes leftovers of a crash. A failed start
    /// undoes its changes of the machine.
    pub async fn start(
        settings: Settings,
        pair: Credentials,
        last_endpoint: Option<String>,
        listening: Listening,
    ) -> anyhow::Result<Self> {
        let outbound = settings::outbound(&settings)?;
        let sandbox_dir = settings.data_dir.join("sandbox");
        let opened = sandbox::Sandboxes::open(&sandbox_dir, settings.sandbox.clone(), settings.network.clone());
        let (sandboxes, recovered) = opened.await.context("cannot prepare the sandbox")?;
        if recovered != sandbox::Recovered::default() {
            tracing::warn!(?recovered, "removed leftovers of an earlier run");
        }
        let Settings { region, app_id, uin, .. } = settings.clone();
        let names = types::Installation { region, app_id, uin };
        let of = Installation { settings, pair, names, signals: StopSignals::default() };
        let started = Self::start_parts(sandboxes.clone(), of, last_endpoint, listening, outbound).await;
        if started.is_err() {
            sandboxes.shutdown().await;
        }
        started
    }

    /// Starts everything above the sandboxes.
    async fn start_parts(
        sandboxes: sandbox::Sandboxes,
        of: Installation,
        last_endpoint: Option<String>,
        listening: Listening,
        outbound: outbound::Client,
    ) -> anyhow::Result<Self> {
        let metrics = measure(&of)?;
        let control_addr = listening.control.local_addr()?;
        let gateway_addr = listening.plain.local_addr()?;
        let storage = Storage::open(&of, control_addr, last_endpoint.as_deref()).await?;
        let work = Work::start(&of, &storage, &sandboxes, outbound).await?;
        let (gateway, certificates) =
            gateway_address::serve(&of, &storage, &work, &sandboxes, (listening.plain, listening.tls))?;
        let triggers = Triggers::start(&of, &storage, &work);
        let parts =
            control_address::Parts { storage: &storage, work: &work, triggers: &triggers, sandboxes: &sandboxes };
        let shown = control_address::Shown { gateway_addr, certificates, metrics, ipv6_off: sandboxes.ipv6_off() };
        let control = control_address::serve(&of, parts, listening.control, shown);
        let sweeping = tokio::spawn(supervisor::restarting("registry sweep", {
            let (registry, running) = (storage.registry.clone(), of.signals.running.clone());
            move || registry.clone().run(running.clone())
        }));
        Ok(Self { signals: of.signals, sandboxes, storage, work, triggers, gateway, control, sweeping })
    }

    /// Name of the parent cgroup of instances, in every hierarchy.
    pub fn cgroup_name(&self) -> &str {
        self.sandboxes.cgroup_name()
    }

    /// Handle for killing all instances when a graceful stop is not possible.
    pub fn instances(&self) -> sandbox::Sandboxes {
        self.sandboxes.clone()
    }

    /// Number of running events.
    pub fn runs(&self) -> usize {
        self.work.events.under_way().len()
    }

    /// Stops claiming events and waits for running ones, at most `longest`. Calls are still served.
    pub async fn drain(&self, longest: Duration) {
        self.work.events.wait_for_runs(longest).await;
    }
}

/// Installs the metrics recorder and starts the task that drains its samples.
fn measure(of: &Installation) -> anyhow::Result<Arc<Metrics>> {
    let recorder = crate::up::metrics::recorder()?.install_recorder().context("cannot install the metrics recorder")?;
    supervisor::report_panics();
    let metrics = Arc::new(Metrics::open(recorder, &of.settings.control, &of.pair)?);
    tokio::spawn({
        let (metrics, running) = (metrics.clone(), of.signals.running.clone());
        let take = move || metrics.clone().take_samples();
        async move { running.run_until_cancelled(supervisor::restarting("metrics", take)).await }
    });
    Ok(metrics)
}
