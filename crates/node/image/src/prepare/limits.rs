//! Admission of preparations: memory and processors for indexing, and the share of each registry
//! (decision 40).
//!
//! Permits are acquired in one order: those of the registry, those of all transfers, those of all
//! work; while waiting, a job holds only earlier permits of its own. Transfers together may hold
//! half of the memory, and one job the other half, so that work on stored content only ever waits
//! for other such work.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::stopping;
use crate::{Config, Error};

/// Unit of memory permits.
const UNIT_BYTES: u64 = 64 << 10;

/// All permits.
pub(crate) struct PrepareLimits {
    memory: Pool,
    /// Memory for all transfers together.
    transfers: Pool,
    /// Permits of work without a registry.
    local: Arc<Semaphore>,
    registries: Mutex<HashMap<Arc<str>, Arc<Registry>>>,
    config: Config,
}

/// Permits of one registry.
struct Registry {
    images: Arc<Semaphore>,
    layers: Arc<Semaphore>,
    memory: Pool,
}

/// A pool of memory permits.
struct Pool {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Permits of one job; dropping them releases them.
#[derive(Debug)]
pub(crate) struct Permits {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Pool {
    fn new(bytes: u64) -> Self {
        let units_max = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(units_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(permits)), units_max }
    }

    /// Requests above the total get the total.
    async fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max);
        self.units.clone().acquire_many_owned(units).await.map_err(|_| stopping("indexing"))
    }
}

impl PrepareLimits {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            memory: Pool::new(config.indexing_memory_bytes_max),
            transfers: Pool::new(config.indexing_memory_bytes_max / 2),
            local: Arc::new(Semaphore::new(config.layers_at_once_max.max(1))),
            registries: Mutex::default(),
            config: config.clone(),
        }
    }

    /// Permits of work on stored content, which takes `bytes` of memory. `image` is for errors.
    pub(crate) async fn local(&self, image: &str, bytes: u64) -> Result<Permits, Error> {
        self.check(image, bytes)?;
        let local = one(&self.local).await?;
        Ok(Permits { _permits: vec![local, self.memory.take(bytes).await?] })
    }

    /// Permits of a layer that comes from `registry` and takes `bytes` of memory.
    pub(crate) async fn layer(&self, image: &str, registry: &str, bytes: u64) -> Result<Permits, Error> {
        self.check(image, bytes)?;
        let registry = self.registry(registry);
        let layer = one(&registry.layers).await?;
        let of_registry = registry.memory.take(bytes).await?;
        let of_transfers = self.transfers.take(bytes).await?;
        Ok(Permits { _permits: vec![layer, of_registry, of_transfers, self.memory.take(bytes).await?] })
    }

    /// Permits of an image look-up in `registry`.
    pub(crate) async fn image(&self, registry: &str) -> Result<Permits, Error> {
        Ok(Permits { _permits: vec![one(&self.registry(registry).images).await?] })
    }

    fn registry(&self, name: &str) -> Arc<Registry> {
        let mut registries = self.registries.lock();
        if let Some(registry) = registries.get(name) {
            return registry.clone();
        }
        // Permits in use keep their registry's entry, so that later users share its limits.
        registries.retain(|_, registry| Arc::strong_count(registry) > 1 || registry.is_busy(&self.config));
        let registry = Arc::new(Registry::new(&self.config));
        registries.insert(name.into(), registry.clone());
        registry
    }

    /// Rejects requests that can never be granted.
    fn check(&self, image: &str, bytes: u64) -> Result<(), Error> {
        let limit = self.config.indexing_memory_bytes_max / 2;
        if bytes <= limit { Ok(()) } else { Err(Error::NeedsMemory { image: image.to_owned(), bytes, limit }) }
    }

    #[cfg(test)]
    fn free_bytes(&self) -> u64 {
        self.memory.units.available_permits() as u64 * UNIT_BYTES
    }
}

impl Registry {
    fn new(config: &Config) -> Self {
        Self {
            images: Arc::new(Semaphore::new(config.registry_images_at_once_max.max(1))),
            layers: Arc::new(Semaphore::new(config.registry_layers_at_once_max.max(1))),
            memory: Pool::new(config.indexing_memory_bytes_max / 4),
        }
    }

    fn is_busy(&self, config: &Config) -> bool {
        self.images.available_permits() < config.registry_images_at_once_max.max(1)
            || self.layers.available_permits() < config.registry_layers_at_once_max.max(1)
    }
}

async fn one(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    semaphore.clone().acquire_owned().await.map_err(|_| stopping("indexing"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn limits() -> PrepareLimits {
        let config = Config {
            indexing_memory_bytes_max: 64 * MIB,
            registry_layers_at_once_max: 2,
            registry_images_at_once_max: 1,
            layers_at_once_max: 8,
            ..Config::default()
        };
        PrepareLimits::new(&config)
    }

    #[tokio::test]
    async fn memory_is_never_given_twice_and_who_waits_has_none() {
        let limits = limits();
        let first = limits.local("a", 32 * MIB).await.expect("there is room");
        let second = limits.local("b", 30 * MIB).await.expect("there is room");
        assert_eq!(limits.free_bytes(), 2 * MIB);
        let mut third = Box::pin(limits.local("c", 10 * MIB));
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let third = third.await.expect("there is room");
        assert_eq!(limits.free_bytes(), 24 * MIB);
        drop((second, third));
        assert_eq!(limits.free_bytes(), 64 * MIB);
    }

    #[tokio::test]
    async fn what_takes_more_than_half_is_refused_by_the_name_of_the_setting() {
        let error = limits().local("huge", 33 * MIB).await.expect_err("it would never get it").report();
        assert!(error.contains("huge") && error.contains("indexing_memory_bytes_max of [image]"), "{error}");
    }

    #[tokio::test]
    async fn transfers_leave_half_to_what_is_here_and_half_of_theirs_to_other_registries() {
        let limits = limits();
        let held = limits.layer("a", "slow", 16 * MIB).await.expect("there is room");
        assert!(limits.layer("b", "slow", MIB).now_or_never().is_none(), "the registry has its quarter");
        let other = limits.layer("c", "other", 16 * MIB).now_or_never().expect("another registry").expect("room");
        assert!(limits.layer("d", "third", MIB).now_or_never().is_none(), "transfers have their half");
        let local = limits.local("e", 32 * MIB).now_or_never().expect("half is left").expect("room");
        drop((held, other, local));
        assert_eq!(limits.free_bytes(), 64 * MIB);
    }

    #[tokio::test]
    async fn a_registry_has_its_permits_whoever_asks() {
        let limits = limits();
        let permits = limits.image("slow").await.expect("its only one");
        assert!(limits.image("slow").now_or_never().is_none());
        assert!(limits.image("other").now_or_never().is_some());
        // A registry of another name removes unused entries.
        drop(limits.image("third").await);
        assert!(limits.image("slow").now_or_never().is_none());
        drop(permits);
        assert!(limits.image("slow").now_or_never().is_some());
        let layers = [limits.layer("a", "slow", 1).await, limits.layer("a", "slow", 1).await];
        assert!(limits.layer("a", "slow", 1).now_or_never().is_none());
        drop(layers);
    }
}
