//! From a reference to layers on disk. Owns what all preparations share: the store, the turns, and who waits for
//! what. Must not know HTTP or tar.

mod preparation;
mod unpacking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use types::{Digest, ImageRef};

use self::preparation::Preparation;
use self::unpacking::Outcome;
use crate::content::ContentStore;
use crate::credentials::Credentials;
use crate::flight::{Failed, Flights};
use crate::image_config::RunConfig;
use crate::layers::{LayerName, Layers};
use crate::progress::{Meter, ProgressListener};
use crate::pull::Clients;
use crate::unpack::Budget;
use crate::{Config, Error};

/// What to prepare.
#[derive(Clone)]
pub struct PrepareRequest {
    /// The image.
    pub image: ImageRef,
    /// `tcr-…` of an enterprise registry, for credentials.
    pub registry_id: Option<String>,
    /// Who keeps it: pins the result against garbage collection, in place of what that owner pinned before.
    pub owner: String,
    /// Told of progress, in a thread of the runtime; must return quickly.
    pub progress: ProgressListener,
}

/// A prepared image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What the reference means: an index's digest if it is an index, else the manifest's.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
    /// How to run it.
    pub run: Arc<RunConfig>,
    /// Number of layers.
    pub layers: usize,
}

/// What all preparations share.
pub(crate) struct Workshop {
    pub content: ContentStore,
    pub layers: Layers,
    pub config: Config,
    pub credentials: Arc<dyn Credentials>,
    pub clients: Clients,
    downloads: Arc<Semaphore>,
    unpacks: Arc<Semaphore>,
    blob_flights: Flights<Digest, AtomicU64, Result<(), Failed>>,
    layer_flights: Flights<LayerName, AtomicBool, Result<Outcome, Failed>>,
}

impl Workshop {
    pub(crate) fn new(
        content: ContentStore,
        layers: Layers,
        config: Config,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        Self {
            content,
            layers,
            credentials,
            clients: Clients::new(config.clone()),
            downloads: Arc::new(Semaphore::new(config.downloads_at_once_max.max(1))),
            unpacks: Arc::new(Semaphore::new(config.unpacks_at_once_max.max(1))),
            blob_flights: Flights::new(),
            layer_flights: Flights::new(),
            config,
        }
    }
}

/// Prepares an image within the time that the configuration gives.
pub(crate) async fn prepare(workshop: &Arc<Workshop>, request: PrepareRequest) -> Result<Prepared, Error> {
    let config = &workshop.config;
    let meter = Arc::new(Meter::new(request.progress.clone()));
    let image = request.image.to_string();
    let limit = Duration::from_secs(config.prepare_timeout_s);
    let preparation = Preparation {
        workshop: workshop.clone(),
        budget: Arc::new(Budget::new(config.unpacked_bytes_max, config.entries_max)),
        source: format!("{}/{}", request.image.registry, request.image.repository).into(),
        name: image.as_str().into(),
        request,
        session: OnceCell::new(),
        meter: meter.clone(),
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(config.progress_interval_ms.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let preparation = Arc::new(preparation);
    let run = tokio::time::timeout(limit, preparation.clone().run());
    tokio::pin!(run);
    loop {
        tokio::select! {
            biased;
            result = &mut run => {
                return result.unwrap_or(Err(Error::TimedOut { image, limit_s: limit.as_secs() }));
            }
            _ = ticks.tick() => meter.report(),
        }
    }
}

/// Work that ended because its turns ended: the platform is stopping.
fn stopping(operation: &'static str) -> Error {
    Error::Interrupted { operation }
}
