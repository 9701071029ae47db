//! From a reference to layers on disk. Owns the state that all preparations share: the store, the
//! permits, and calls in progress.

mod blob_sink;
mod layer_job;
mod limits;
mod preparation;
mod selection;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use content_store::{ContentStore, LayerFacts, LayerName, Layers};
use futures_util::FutureExt;
use layer_index::Budget;
use oci::RunConfig;
use parking_lot::Mutex;
use registry_client::{Clients, Credentials};
use rootfs::Mounts;
use tokio::sync::OnceCell;
use types::{Digest, ImageRef};

use self::layer_job::LayerJob;
pub(crate) use self::limits::PrepareLimits;
use self::preparation::Preparation;
use crate::progress::{Meter, ProgressListener};
use crate::singleflight::{Failed, Singleflight};
use crate::{Config, Error, blocking};

/// A request to prepare an image.
#[derive(Clone)]
pub struct PrepareRequest {
    /// The image.
    pub image: ImageRef,
    /// `tcr-…` of an enterprise registry, for credentials.
    pub registry_id: Option<String>,
    /// Owner of the pin that protects the result from garbage collection; it replaces that owner's
    /// earlier pin.
    pub owner: String,
    /// Called with progress, on a thread of the runtime; must return quickly.
    pub progress: ProgressListener,
}

/// A prepared image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The resolved digest: an index's if the reference is an index, else the manifest's.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
    /// Its run configuration.
    pub run: Arc<RunConfig>,
    /// Number of layers.
    pub layers: usize,
}

/// A layer's diff id and its facts.
type IndexedLayer = (Digest, LayerFacts);

/// State that all preparations share.
pub(crate) struct Context {
    pub content: ContentStore,
    pub layers: Layers,
    pub config: Config,
    pub credentials: Arc<dyn Credentials>,
    pub clients: Clients,
    pub mounts: Mounts,
    pub limits: PrepareLimits,
    /// Transfers of configs in progress, by digest.
    blob_calls: Singleflight<Digest, AtomicU64, Result<(), Failed>>,
    /// Layers in progress, by the digest of their blob and whether it is stored already: a caller
    /// with the blob does not wait for a transfer. The result is their diff id.
    layer_calls: Singleflight<(Digest, bool), AtomicU64, Result<IndexedLayer, Failed>>,
    /// Diff ids of indexed blobs, so that a blob that is pushed again is not indexed again.
    indexed: Mutex<HashMap<Digest, Digest>>,
    /// Root file systems under construction.
    rootfs_calls: Singleflight<LayerName, (), Result<(), Failed>>,
}

impl Context {
    pub(crate) fn new(
        content: ContentStore,
        layers: Layers,
        mounts: Mounts,
        config: Config,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        Self {
            content,
            layers,
            mounts,
            credentials,
            clients: Clients::new(config.registry_client()),
            limits: PrepareLimits::new(&config),
            blob_calls: Singleflight::new(),
            layer_calls: Singleflight::new(),
            indexed: Mutex::default(),
            rootfs_calls: Singleflight::new(),
            config,
        }
    }
}

/// Prepares an image within the configured time.
pub(crate) async fn prepare(context: &Arc<Context>, request: PrepareRequest) -> Result<Prepared, Error> {
    let config = &context.config;
    let meter = Arc::new(Meter::new(request.progress.clone()));
    let image = request.image.to_string();
    let limit = Duration::from_secs(config.prepare_timeout_s);
    let preparation = Preparation {
        context: context.clone(),
        budget: Arc::new(Budget::new(config.unpacked_bytes_max, config.entries_max)),
        source: format!("{}/{}", request.image.registry, request.image.repository).into(),
        name: image.as_str().into(),
        request,
        session: OnceCell::new(),
        permits: tokio::sync::Mutex::default(),
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

/// Number of blobs whose diff ids are remembered.
const INDEXED_MAX: usize = 10_000;

impl Context {
    /// Remembers the diff id of a blob.
    fn remember(&self, blob: &Digest, diff_id: &Digest) {
        let mut indexed = self.indexed.lock();
        if indexed.len() >= INDEXED_MAX {
            indexed.clear();
        }
        indexed.insert(blob.clone(), diff_id.clone());
    }

    /// Whether the layer of a blob is indexed already; touches it.
    async fn has_indexed(self: &Arc<Self>, blob: &Digest) -> Result<bool, Error> {
        let Some(diff_id) = self.indexed.lock().get(blob).cloned() else { return Ok(false) };
        let layers = self.layers.clone();
        let facts = move || layers.facts::<LayerFacts>(&LayerName::tar(&diff_id));
        Ok(blocking::run("looking for a layer", facts).await?.is_some())
    }
}

/// Indexes a stored layer before it is requested. Does nothing for a blob that is no layer.
pub(crate) async fn index_ahead(context: &Arc<Context>, blob: &Digest) -> Result<(), Error> {
    let _lease = context.content.lease();
    if context.has_indexed(blob).await? {
        return Ok(());
    }
    let by: Arc<str> = "the own registry".into();
    let begin = || {
        let (job, received) = (LayerJob::ahead(context, blob), Arc::new(AtomicU64::new(0)));
        (received, job.stored().boxed())
    };
    match context.layer_calls.run(&(blob.clone(), true), &by, begin, |_| ()).await {
        // A config, or an invalid layer: a deploy will report it.
        Ok(_) | Err(Error::Layer { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The error of work whose permits were closed: the platform is stopping.
fn stopping(operation: &'static str) -> Error {
    content_store::Error::Interrupted { operation }.into()
}
