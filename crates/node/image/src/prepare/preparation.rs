//! One preparation: resolving the tag, fetching missing layers, merging them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use content_store::{LayerFacts, LayerName, Pin};
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use layer_index::Budget;
use oci::{Descriptor, Document, ImageConfig, Manifest};
use registry_client::{Session, fetch_manifest, resolve, transfer};
use tokio::sync::{Mutex, OnceCell};
use types::Digest;

use super::blob_sink::fetch;
use super::layer_job::{LayerJob, LayerSink, layer_error};
use super::limits::Permits;
use super::{Context, PrepareRequest, Prepared};
use crate::progress::{Meter, Step};
use crate::{Error, blocking};

/// One preparation.
pub(super) struct Preparation {
    pub context: Arc<Context>,
    pub request: PrepareRequest,
    /// The image as text, for errors.
    pub name: Arc<str>,
    /// Registry and repository of its blobs.
    pub source: Arc<str>,
    /// Created when the network is first needed.
    pub session: OnceCell<Arc<Session>>,
    /// Held while the image is looked up in its registry.
    pub permits: Mutex<Option<Permits>>,
    pub budget: Arc<Budget>,
    pub meter: Arc<Meter>,
}

impl Preparation {
    pub(super) async fn run(self: Arc<Self>) -> Result<Prepared, Error> {
        let content = &self.context.content;
        // Until the pin, nothing else protects the content of this preparation.
        let _lease = content.lease();
        self.meter.enter(Step::Resolving);
        let digest = self.resolve().await?;
        let (manifest, config) = self.select(&digest).await?;
        self.permits.lock().await.take();
        let distinct = distinct_layers(&manifest, &config);
        let total = distinct.iter().fold(manifest.config.size, |sum, (_, layer)| sum.saturating_add(layer.size));
        self.meter.begin(distinct.len(), total);
        self.meter.have(manifest.config.size);
        let layers = distinct.iter().map(|(diff_id, layer)| self.clone().layer(diff_id.clone(), layer.clone()));
        try_join_all(layers).await?;
        self.meter.enter(Step::Merging);
        self.rootfs(&config.diff_ids, &distinct).await?;
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        content.pin_as(&self.request.owner, pin).await?;
        self.meter.enter(Step::Ready);
        let (size_bytes, layers) = (manifest.size_bytes(), manifest.layers.len());
        Ok(Prepared { digest, size_bytes, run: Arc::new(config.run), layers })
    }

    async fn session(&self) -> Result<&Arc<Session>, Error> {
        let Context { clients, credentials, .. } = &*self.context;
        let (image, registry_id) = (&self.request.image, self.request.registry_id.as_deref());
        let begin = async || {
            let session = Session::begin(clients, credentials, image, registry_id, &self.meter.asked_pause);
            session.await.map(Arc::new).map_err(Error::from)
        };
        self.session.get_or_try_init(begin).await
    }

    /// The session, with permits for the image's look-up: their number per registry is limited.
    async fn session_with_permits(&self) -> Result<&Arc<Session>, Error> {
        let mut permits = self.permits.lock().await;
        if permits.is_none() {
            *permits = Some(self.context.limits.image(&self.request.image.registry).await?);
        }
        drop(permits);
        self.session().await
    }

    /// Resolves the reference to a digest. A tag is resolved each time.
    async fn resolve(&self) -> Result<Digest, Error> {
        let image = &self.request.image;
        if let Some(digest) = &image.digest {
            return Ok(digest.clone());
        }
        let session = self.session_with_permits().await?;
        if let Some(digest) = resolve(session, image.reference()).await
            && self.context.content.size(&digest).await?.is_some()
        {
            return Ok(digest);
        }
        self.fetch_document(image.reference()).await.map(|(digest, _)| digest)
    }

    pub(super) async fn fetch_document(&self, reference: &str) -> Result<(Digest, Bytes), Error> {
        let bytes_max = self.context.config.manifest_bytes_max;
        let (digest, body) =
            fetch_manifest(self.session_with_permits().await?, &self.name, reference, bytes_max).await?;
        let body = Bytes::from(body);
        // Stored only once it has parsed as a manifest: a proxy's web page has a digest too.
        self.parsed(&body)?;
        self.context.content.put(&digest, body.clone()).await?;
        Ok((digest, body))
    }

    pub(super) fn parsed(&self, bytes: &[u8]) -> Result<Document, Error> {
        Document::read(bytes).map_err(|source| self.manifest_error(source))
    }

    fn layer_error(&self, digest: &Digest, error: layer_index::Error) -> Error {
        layer_error(&self.context, &self.name, digest, error)
    }

    pub(super) fn manifest_error(&self, source: oci::Error) -> Error {
        Error::Manifest { image: self.name.as_ref().to_owned(), source }
    }

    pub(super) fn check_size(&self, manifest: &Manifest) -> Result<(), Error> {
        let config = &self.context.config;
        let checks = [
            ("compressed bytes", manifest.size_bytes(), config.image_bytes_max, "image_bytes_max"),
            ("layers", manifest.layers.len() as u64, config.layers_max as u64, "layers_max"),
            ("bytes in its config", manifest.config.size, config.config_bytes_max, "config_bytes_max"),
        ];
        match checks.into_iter().find(|(_, actual, limit, _)| actual > limit) {
            None => Ok(()),
            Some((what, actual, limit, key)) => {
                Err(Error::TooLarge { image: self.name.as_ref().to_owned(), what, actual, limit, key })
            }
        }
    }

    pub(super) async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, Error> {
        self.ensure_blob(&manifest.config).await?;
        let (digest, bytes_max) = (&manifest.config.digest, self.context.config.config_bytes_max);
        let bytes = self.context.content.read_small(digest, bytes_max).await?;
        let bytes = bytes.ok_or_else(|| content_store::Error::UnknownContent { digest: digest.clone() })?;
        ImageConfig::read(&bytes, manifest.layers.len()).map_err(|source| self.manifest_error(source))
    }

    /// Ensures that a blob is stored, with the size of its descriptor.
    async fn ensure_blob(&self, blob: &Descriptor) -> Result<(), Error> {
        let content = &self.context.content;
        if content.verified_size(&blob.digest).await?.is_none() {
            self.fetch_blob(blob).await?;
        }
        let size = content.size(&blob.digest).await?;
        self.same_size(blob, size.ok_or_else(|| content_store::Error::UnknownContent { digest: blob.digest.clone() })?)
    }

    fn same_size(&self, blob: &Descriptor, actual: u64) -> Result<(), Error> {
        if actual == blob.size {
            return Ok(());
        }
        let (image, digest) = (self.name.as_ref().to_owned(), blob.digest.clone());
        Err(registry_client::Error::SizeMismatch { image, digest, expected: blob.size, actual }.into())
    }

    async fn fetch_blob(&self, blob: &Descriptor) -> Result<(), Error> {
        let session = self.session_with_permits().await?;
        let begin = || {
            let received = Arc::new(AtomicU64::new(0));
            let (context, session, counter) = (self.context.clone(), session.clone(), received.clone());
            let (name, blob) = (self.name.clone(), blob.clone());
            let work = async move {
                // An earlier call may have ended between the check of the store and joining.
                if context.content.size(&blob.digest).await?.is_some() {
                    counter.store(blob.size, Ordering::Relaxed);
                    return Ok(());
                }
                fetch(&session, &context.content, &name, &blob, &counter).await
            };
            (received, work.boxed())
        };
        self.context.blob_calls.run(&blob.digest, &self.source, begin, |_| ()).await.map(|_| ())
    }

    /// Ensures that a layer is stored and indexed, sharing the work with concurrent preparations.
    async fn layer(self: Arc<Self>, diff_id: Digest, layer: Descriptor) -> Result<(), Error> {
        match self.checked(&diff_id, &layer).await? {
            Some(facts) => {
                self.meter.have(layer.size);
                self.charge(&layer, &facts)?;
            }
            None => {
                let is_here = self.context.content.size(&layer.digest).await?.is_some();
                let begin = || {
                    let received = Arc::new(AtomicU64::new(0));
                    let work = self.clone().index(diff_id.clone(), layer.clone(), received.clone());
                    (received, work.boxed())
                };
                let joined = |received| self.meter.watch(received);
                let calls = &self.context.layer_calls;
                let ((actual, facts), led) =
                    calls.run(&(layer.digest.clone(), is_here), &self.source, begin, joined).await?;
                if actual != diff_id {
                    let error = layer_index::Error::DiffId { expected: diff_id, actual };
                    return Err(self.layer_error(&layer.digest, error));
                }
                if !led {
                    self.charge(&layer, &facts)?;
                }
            }
        }
        self.meter.layer_done();
        Ok(())
    }

    /// Indexes a layer, from the store or while it is transferred.
    async fn index(
        self: Arc<Self>,
        diff_id: Digest,
        layer: Descriptor,
        received: Arc<AtomicU64>,
    ) -> Result<(Digest, LayerFacts), Error> {
        // An earlier call may have ended between the check of the layers and joining.
        if let Some(facts) = self.checked(&diff_id, &layer).await? {
            received.store(layer.size, Ordering::Relaxed);
            self.charge(&layer, &facts)?;
            return Ok((diff_id, facts));
        }
        let job = LayerJob {
            context: self.context.clone(),
            image: self.name.clone(),
            digest: layer.digest.clone(),
            diff_id: Some(diff_id),
            budget: self.budget.clone(),
        };
        match self.index_stored(&job, &layer, &received).await? {
            Some(indexed) => Ok(indexed),
            None => self.fetch_layer(job, &layer, &received).await,
        }
    }

    /// Indexes a layer from the store; `None` when its blob is not there. The blob is only verified
    /// after an error: the diff id verifies all others.
    async fn index_stored(
        &self,
        job: &LayerJob,
        layer: &Descriptor,
        received: &AtomicU64,
    ) -> Result<Option<(Digest, LayerFacts)>, Error> {
        let content = &self.context.content;
        let Some(size) = content.size(&layer.digest).await? else { return Ok(None) };
        received.store(size, Ordering::Relaxed);
        let indexed = match self.same_size(layer, size) {
            Ok(()) => job.clone().stored().await,
            Err(error) => Err(error),
        };
        match indexed {
            Err(
                Error::Layer { .. }
                | Error::Registry(registry_client::Error::SizeMismatch { .. })
                | Error::Content(content_store::Error::Io { .. }),
            ) if content.verified_size(&layer.digest).await?.is_none() => {
                received.store(0, Ordering::Relaxed);
                Ok(None)
            }
            indexed => indexed.map(Some),
        }
    }

    async fn fetch_layer(
        &self,
        job: LayerJob,
        layer: &Descriptor,
        received: &AtomicU64,
    ) -> Result<(Digest, LayerFacts), Error> {
        let taken = job.take_room(&self.request.image.registry, &layer.media_type).await?;
        let session = self.session().await?;
        let mut sink = LayerSink::new(job, taken);
        let fetched = transfer(session, &mut sink, &self.name, &layer.digest, layer.size, received).await;
        if let Err(error) = fetched {
            sink.abort().await;
            return Err(match Error::from(error) {
                Error::Registry(registry_client::Error::NotFound { .. }) if layer.is_foreign() => {
                    self.manifest_error(oci::Error::foreign(layer))
                }
                error => error,
            });
        }
        match sink.finish().await {
            // The wrong digest takes precedence over any error of the layer.
            (Some(actual), _) if actual != layer.digest => {
                Err(session.wrong_content(layer.digest.clone(), actual).into())
            }
            (_, indexed) => indexed,
        }
    }

    /// A stored layer that is known to come from this very blob. A layer with the right diff id is
    /// not enough: the blob may be anything, and a machine without the layer would reject it.
    async fn checked(&self, diff_id: &Digest, layer: &Descriptor) -> Result<Option<LayerFacts>, Error> {
        let (layers, name, blob) = (self.context.layers.clone(), LayerName::tar(diff_id), layer.digest.clone());
        let look = move || -> Result<_, Error> {
            let Some(bytes) = layers.source_bytes(&name, &blob)? else { return Ok(None) };
            // Presence does not prove intact content.
            if !layers.is_intact(&name)? {
                return Ok(None);
            }
            Ok(layers.facts(&name)?.zip(Some(bytes)))
        };
        let Some((facts, bytes)) = blocking::run("looking for a layer", look).await? else { return Ok(None) };
        self.same_size(layer, bytes)?;
        Ok(Some(facts))
    }

    fn charge(&self, layer: &Descriptor, facts: &LayerFacts) -> Result<(), Error> {
        self.budget.take(facts.bytes, facts.entries).map_err(|e| self.layer_error(&layer.digest, e))
    }

    /// Creates the root file system of a stack whose layers are stored, sharing the work with
    /// concurrent preparations.
    async fn rootfs(&self, stack: &[Digest], layers: &[(Digest, Descriptor)]) -> Result<(), Error> {
        let begin = || {
            let (context, stack, image) = (self.context.clone(), stack.to_vec(), self.name.clone());
            let blobs: HashMap<_, _> =
                layers.iter().map(|(diff_id, layer)| (diff_id.clone(), layer.digest.clone())).collect();
            let work = async move {
                let look = (context.clone(), stack.clone());
                let needs = move || {
                    let Context { layers, mounts, .. } = &*look.0;
                    // A damaged one is created again.
                    layers.is_intact(&rootfs::name(mounts.method(), &look.1))?;
                    rootfs::needs(layers, mounts.method(), &look.1)
                };
                let needs = blocking::run("looking for layers", needs).await?;
                let permits = match needs {
                    Some(needs) => Some(context.limits.local(&image, needs.memory_bytes).await?),
                    // It exists, or a missing layer is reported later.
                    None => None,
                };
                blocking::run("putting layers together", move || {
                    let _permits = permits;
                    let Context { layers, mounts, config, .. } = &*context;
                    rootfs::make(layers, mounts.method(), &stack, config.tree_limits()).map_err(|error| match error {
                        rootfs::Error::Content(error) => Error::from(error),
                        rootfs::Error::MissingLayer { diff_id } => {
                            content_store::Error::UnknownContent { digest: diff_id }.into()
                        }
                        rootfs::Error::Layer { diff_id, source } => {
                            layer_error(&context, &image, blobs.get(&diff_id).unwrap_or(&diff_id), source)
                        }
                    })
                })
                .await
            };
            (Arc::new(()), work.boxed())
        };
        let name = rootfs::name(self.context.mounts.method(), stack);
        self.context.rootfs_calls.run(&name, &self.name, begin, |_| ()).await.map(|_| ())
    }
}

/// Diff ids and blobs, each pair once: the same layer may be in an image several times, and as
/// several blobs.
fn distinct_layers(manifest: &Manifest, config: &ImageConfig) -> Vec<(Digest, Descriptor)> {
    let mut seen = HashSet::new();
    let all = config.diff_ids.iter().zip(&manifest.layers);
    let distinct = all.filter(|(diff_id, layer)| seen.insert((*diff_id, &layer.digest)));
    distinct.map(|(diff_id, layer)| (diff_id.clone(), layer.clone())).collect()
}
