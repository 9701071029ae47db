//! Starts the parts that run functions: volumes, pool, event queue and deploys.

use std::sync::Arc;

use anyhow::Context;

use super::Installation;
use super::storage::Storage;
use crate::up::prepare::Prepare;
use crate::up::start_check::StartCheck;
use crate::up::volumes::Memory;
use crate::up::{bounds, secrets, temporary};

/// Parts that run functions.
pub struct Work {
    pub volumes: volumes::Volumes,
    /// Accounts for memory of tmpfs volumes, which reduces that of instances.
    pub memory: Arc<Memory>,
    pub invoker: invoke::Invoker,
    pub events: events::Events,
    pub deploy: deploy::Deploy,
}

impl Work {
    /// Starts all parts.
    pub async fn start(
        of: &Installation,
        storage: &Storage,
        sandboxes: &sandbox::Sandboxes,
        outbound: outbound::Client,
    ) -> anyhow::Result<Self> {
        let settings = &of.settings;
        let (dir, config) = (settings.data_dir.join("volumes"), settings.volumes.clone());
        let volumes = tokio::task::spawn_blocking(move || volumes::Volumes::open(&dir, config)).await?;
        let volumes = volumes.context("cannot prepare the volumes")?;
        let (invoker, memory) = invoker(of, storage, sandboxes, &volumes)?;
        let run = Arc::new(invoker.clone());
        let events =
            events::Events::open_with(settings.data_dir.join("events.db"), run, outbound, settings.events.clone())
                .await
                .context("cannot open the queue of events")?;
        tokio::spawn({
            let (store, events, running) = (storage.store.clone(), events.clone(), of.signals.running.clone());
            let look = move || temporary::run(store.clone(), events.clone());
            async move { running.run_until_cancelled(supervisor::restarting("temporary functions", look)).await }
        });
        let deploy = deploy::Deploy::start(
            storage.store.clone(),
            Prepare(storage.images.clone()),
            StartCheck(invoker.clone()),
            settings.deploy.clone(),
            of.signals.running.clone(),
        );
        Ok(Self { volumes, memory: Arc::new(memory), invoker, events, deploy })
    }
}

/// Starts the instance pool with its launcher.
fn invoker(
    of: &Installation,
    storage: &Storage,
    sandboxes: &sandbox::Sandboxes,
    volumes: &volumes::Volumes,
) -> anyhow::Result<(invoke::Invoker, Memory)> {
    let settings = &of.settings;
    secrets::warn_of_swap();
    let launch = launcher::Launcher::new(
        storage.images.clone(),
        sandboxes.clone(),
        volumes.clone(),
        storage.logs.clone(),
        of.names.clone(),
        settings.launcher.clone(),
    );
    let launch = launch.with_secrets(Arc::new(secrets::Values(storage.secrets.clone())));
    let parts = invoke::Parts {
        catalog: storage.store.catalog(),
        changes: storage.store.changes(),
        launch: Arc::new(launch),
        logs: storage.logs.clone(),
        platform: of.names.clone(),
        results_dir: settings.data_dir.join("results"),
    };
    let pool = settings.pool.clone().or_machine_memory(bounds::machine_memory_mb());
    let memory = Memory { all_mb: pool.memory_mb_max, set_aside: pool.set_aside.clone() };
    memory.count(volumes)?;
    let invoker = invoke::Invoker::new(parts, settings.invoke.clone(), pool, &of.signals.running)
        .context("cannot open the folder of results")?;
    Ok((invoker, memory))
}
