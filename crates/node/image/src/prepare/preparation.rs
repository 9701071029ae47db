//! One preparation: what the tag means, which blobs are missing, what is still to be unpacked. Must not know HTTP or
//! tar; it decides what is done and in which order.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;
use types::Digest;

use super::unpacking::{Outcome, Unpacking, layer_error};
use super::{PrepareRequest, Prepared, Workshop, stopping};
use crate::content::INDEX_DEPTH_MAX;
use crate::content::ledger::Pin;
use crate::image_config::{self, ImageConfig};
use crate::layers::{LayerFacts, LayerName, chain_ids};
use crate::manifest::{self, Descriptor, Document, Manifest, ManifestError};
use crate::progress::{Meter, Step};
use crate::pull::{self, Session};
use crate::unpack::{self, Budget, LayerError};
use crate::{Error, blocking};

/// One preparation.
pub(super) struct Preparation {
    pub workshop: Arc<Workshop>,
    pub request: PrepareRequest,
    /// The image as text, for errors.
    pub name: Arc<str>,
    /// Registry and repository, where blobs come from.
    pub source: Arc<str>,
    /// Made when the network is first needed.
    pub session: OnceCell<Arc<Session>>,
    pub budget: Arc<Budget>,
    pub meter: Arc<Meter>,
}

impl Preparation {
    pub(super) async fn run(self: Arc<Self>) -> Result<Prepared, Error> {
        let content = &self.workshop.content;
        // Until it is pinned, nothing else keeps what is found and fetched here.
        let _lease = content.lease();
        self.meter.enter(Step::Resolving);
        let digest = self.resolve().await?;
        let manifest = self.manifest(&digest).await?;
        self.check_size(&manifest)?;
        let config = self.config(&manifest).await?;
        let distinct = distinct_layers(&manifest, &config);
        let total = distinct.values().fold(manifest.config.size, |sum, layer| sum.saturating_add(layer.size));
        self.meter.begin(distinct.len(), total);
        self.meter.have(manifest.config.size);
        let unpacking =
            distinct.iter().map(|(diff_id, layer)| self.clone().unpack_alone(diff_id.clone(), layer.clone()));
        let outcomes = try_join_all(unpacking).await?;
        self.meter.enter(Step::Verifying);
        let outcomes: HashMap<_, _> = distinct.keys().cloned().zip(outcomes).collect();
        self.stack(&manifest, &config, &outcomes).await?;
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        content.pin_as(&self.request.owner, pin).await?;
        self.meter.enter(Step::Ready);
        let (size_bytes, layers) = (manifest.size_bytes(), manifest.layers.len());
        Ok(Prepared { digest, size_bytes, run: Arc::new(config.run), layers })
    }

    async fn session(&self) -> Result<&Arc<Session>, Error> {
        let Workshop { clients, config, credentials, .. } = &*self.workshop;
        let (image, registry_id) = (&self.request.image, self.request.registry_id.as_deref());
        let begin = async || Session::begin(clients, config, credentials, image, registry_id).await.map(Arc::new);
        self.session.get_or_try_init(begin).await
    }

    /// The digest that the reference means now. A tag is asked for each time.
    async fn resolve(&self) -> Result<Digest, Error> {
        let image = &self.request.image;
        if let Some(digest) = &image.digest {
            return Ok(digest.clone());
        }
        let session = self.session().await?;
        if let Some(digest) = pull::resolve(session, image.reference()).await
            && self.workshop.content.size(&digest).await?.is_some()
        {
            return Ok(digest);
        }
        self.fetch_document(image.reference()).await.map(|(digest, _)| digest)
    }

    async fn fetch_document(&self, reference: &str) -> Result<(Digest, Bytes), Error> {
        let bytes_max = self.workshop.config.manifest_bytes_max;
        let (digest, body) = pull::manifest(self.session().await?, &self.name, reference, bytes_max).await?;
        let body = Bytes::from(body);
        // Not kept before it is known to be a manifest: a proxy's web page has a digest too.
        self.parsed(&body)?;
        self.workshop.content.put(&digest, body.clone()).await?;
        Ok((digest, body))
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Document, Error> {
        manifest::parse(bytes).map_err(|source| self.manifest_error(source))
    }

    fn layer_error(&self, digest: &Digest, error: LayerError) -> Error {
        layer_error(&self.workshop, &self.name, digest, error)
    }

    fn manifest_error(&self, source: ManifestError) -> Error {
        Error::Manifest { image: self.name.as_ref().to_owned(), source }
    }

    /// The manifest for this platform, from the store or the registry.
    async fn manifest(&self, root: &Digest) -> Result<Manifest, Error> {
        let bytes_max = self.workshop.config.manifest_bytes_max;
        let mut digest = root.clone();
        for _ in 0..=INDEX_DEPTH_MAX {
            let bytes = match self.workshop.content.read_small(&digest, bytes_max).await? {
                Some(bytes) => bytes,
                None => self.fetch_document(digest.as_str()).await?.1,
            };
            match self.parsed(&bytes)? {
                Document::Index(index) => {
                    digest = index.choose().map_err(|source| self.manifest_error(source))?.digest.clone();
                }
                Document::Manifest(manifest) => {
                    manifest.check().map_err(|source| self.manifest_error(source))?;
                    return Ok(manifest);
                }
            }
        }
        let reason = format!("indexes are nested more than {INDEX_DEPTH_MAX} deep");
        Err(self.manifest_error(ManifestError::Invalid { document: "manifest", reason }))
    }

    fn check_size(&self, manifest: &Manifest) -> Result<(), Error> {
        let config = &self.workshop.config;
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

    async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, Error> {
        self.ensure_blob(&manifest.config, false).await?;
        let (digest, bytes_max) = (&manifest.config.digest, self.workshop.config.config_bytes_max);
        let bytes = self.workshop.content.read_small(digest, bytes_max).await?;
        let bytes = bytes.ok_or_else(|| Error::UnknownContent { digest: digest.clone() })?;
        image_config::parse(&bytes, manifest.layers.len()).map_err(|source| self.manifest_error(source))
    }

    /// Sees to it that a blob is in the store, with the size that its manifest says.
    async fn ensure_blob(&self, blob: &Descriptor, metered: bool) -> Result<(), Error> {
        let content = &self.workshop.content;
        let size = match content.size(&blob.digest).await? {
            Some(size) => {
                if metered {
                    self.meter.have(size);
                }
                size
            }
            None => {
                self.fetch_blob(blob, metered).await?;
                content
                    .size(&blob.digest)
                    .await?
                    .ok_or_else(|| Error::UnknownContent { digest: blob.digest.clone() })?
            }
        };
        if size != blob.size {
            let (image, digest) = (self.name.as_ref().to_owned(), blob.digest.clone());
            return Err(Error::SizeMismatch { image, digest, expected: blob.size, actual: size });
        }
        Ok(())
    }

    async fn fetch_blob(&self, blob: &Descriptor, metered: bool) -> Result<(), Error> {
        let session = self.session().await?;
        let begin = || {
            let received = Arc::new(AtomicU64::new(0));
            let (workshop, session, counter) = (self.workshop.clone(), session.clone(), received.clone());
            let (name, blob) = (self.name.clone(), blob.clone());
            let work = async move {
                let _turn = workshop.downloads.acquire().await.map_err(|_| stopping("downloading"))?;
                // An earlier flight may have landed between our look at the store and our boarding.
                if workshop.content.size(&blob.digest).await?.is_some() {
                    counter.store(blob.size, Ordering::Relaxed);
                    return Ok(());
                }
                pull::blob::fetch(&session, &workshop.content, &name, &blob.digest, blob.size, &counter).await
            };
            (received, work.boxed())
        };
        let joined = |received| {
            if metered {
                self.meter.watch(received);
            }
        };
        self.workshop.blob_flights.run(&blob.digest, &self.source, begin, joined).await.map(|_| ())
    }

    /// Unpacks a layer without the ones below it, unless it is there.
    async fn unpack_alone(self: Arc<Self>, diff_id: Digest, layer: Descriptor) -> Result<Outcome, Error> {
        let name = LayerName::shared(&diff_id);
        let outcome = match self.facts(&name).await? {
            Some(facts) => {
                self.meter.have(layer.size);
                self.charge(&layer, &facts)?;
                Outcome::Unpacked(facts)
            }
            None => {
                self.ensure_blob(&layer, true).await?;
                self.unpack(name, diff_id, &layer, None).await?
            }
        };
        self.meter.layer_done();
        Ok(outcome)
    }

    async fn facts(&self, name: &LayerName) -> Result<Option<LayerFacts>, Error> {
        let (layers, name) = (self.workshop.layers.clone(), name.clone());
        blocking::run("looking for a layer", move || layers.facts(&name)).await
    }

    fn charge(&self, layer: &Descriptor, facts: &LayerFacts) -> Result<(), Error> {
        self.budget.take(facts.bytes, facts.entries).map_err(|e| self.layer_error(&layer.digest, e))
    }

    /// Unpacks a layer as `name`, together with all others that want it now.
    async fn unpack(
        &self,
        name: LayerName,
        diff_id: Digest,
        layer: &Descriptor,
        lowers: Option<Vec<PathBuf>>,
    ) -> Result<Outcome, Error> {
        let begin = || {
            let unpacking = Unpacking {
                workshop: self.workshop.clone(),
                image: self.name.clone(),
                name: name.clone(),
                diff_id: diff_id.clone(),
                digest: layer.digest.clone(),
                lowers: lowers.clone(),
                budget: self.budget.clone(),
            };
            unpacking.begin()
        };
        let (outcome, led) = self.workshop.layer_flights.run(&name, &self.name, begin, |_| ()).await?;
        if let (false, Outcome::Unpacked(facts)) = (led, &outcome) {
            self.charge(layer, facts)?;
        }
        Ok(outcome)
    }

    /// Sees to it that each layer is there in the form that this stack needs, lowest first.
    async fn stack(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
        outcomes: &HashMap<Digest, Outcome>,
    ) -> Result<(), Error> {
        let mut below: Vec<LayerName> = Vec::new();
        let chain = chain_ids(&config.diff_ids);
        for ((layer, diff_id), chain_id) in manifest.layers.iter().zip(&config.diff_ids).zip(&chain) {
            let lowers = if below.is_empty() { Vec::new() } else { self.workshop.layers.mount_order(&below) };
            let chained = LayerName::chained(chain_id);
            let alone = match outcomes.get(diff_id) {
                Some(Outcome::Unpacked(facts)) => Some(facts),
                Some(Outcome::NeedsLower(error)) if below.is_empty() => return Err(error.clone()),
                _ => None,
            };
            let name = if self.facts(&chained).await?.is_some() {
                chained
            } else if let Some(facts) = alone
                && !self.depends_on(layer, facts, &lowers).await?
            {
                LayerName::shared(diff_id)
            } else {
                if let Some(facts) = alone {
                    self.budget.give_back(facts.bytes, facts.entries);
                }
                self.ensure_blob(layer, false).await?;
                match self.unpack(chained.clone(), diff_id.clone(), layer, Some(lowers)).await? {
                    Outcome::Unpacked(_) => chained,
                    Outcome::NeedsLower(error) => return Err(error),
                }
            };
            below.push(name);
        }
        Ok(())
    }

    async fn depends_on(&self, layer: &Descriptor, facts: &LayerFacts, lowers: &[PathBuf]) -> Result<bool, Error> {
        if lowers.is_empty() {
            return Ok(false);
        }
        let (implied, lowers) = (facts.implied.clone(), lowers.to_vec());
        blocking::run("looking at lower layers", move || {
            let implied: Vec<_> = implied.iter().filter_map(|path| hex::decode(path).ok()).collect();
            Ok(unpack::depends_on(&implied, &lowers))
        })
        .await?
        .map_err(|e| self.layer_error(&layer.digest, e))
    }
}

/// Layers by diff id, each once: the same layer may be in an image several times.
fn distinct_layers(manifest: &Manifest, config: &ImageConfig) -> HashMap<Digest, Descriptor> {
    config.diff_ids.iter().cloned().zip(manifest.layers.iter().cloned()).collect()
}
