//! One layer from the store into a directory, on a thread, in turn with others. Must not know what the layer is for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use types::Digest;

use super::{Workshop, stopping};
use crate::layers::{LayerFacts, LayerName};
use crate::unpack::{self, Budget, Job, LayerError, Limits};
use crate::{Error, blocking};

/// A layer, unpacked by itself.
#[derive(Clone)]
pub(super) enum Outcome {
    Unpacked(LayerFacts),
    /// It has a link to a file of a lower layer.
    NeedsLower(Error),
}

/// One layer on its way to a directory.
pub(super) struct Unpacking {
    pub workshop: Arc<Workshop>,
    pub image: Arc<str>,
    pub name: LayerName,
    pub diff_id: Digest,
    pub digest: Digest,
    pub lowers: Option<Vec<PathBuf>>,
    pub budget: Arc<Budget>,
}

/// Ends a thread's work when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Unpacking {
    /// The work, and what ends it when nobody waits for it any more.
    pub(super) fn begin(self) -> (Arc<AtomicBool>, BoxFuture<'static, Result<Outcome, Error>>) {
        let cancel = Arc::new(AtomicBool::new(false));
        let guard = CancelOnDrop(cancel.clone());
        let flag = cancel.clone();
        let work = async move {
            let _guard = guard;
            let turn = self.workshop.unpacks.clone().acquire_owned().await.map_err(|_| stopping("unpacking"))?;
            let opened = self.workshop.content.open_blob(&self.digest).await?;
            let (blob, _) = opened.ok_or_else(|| Error::UnknownContent { digest: self.digest.clone() })?;
            blocking::run("unpacking", move || {
                // The thread has its turn until it ends, even when nobody waits any more.
                let _turn = turn;
                self.unpack(blob, flag)
            })
            .await
        };
        (cancel, work.boxed())
    }

    fn unpack(self, blob: std::fs::File, cancel: Arc<AtomicBool>) -> Result<Outcome, Error> {
        let config = &self.workshop.config;
        let draft = self.workshop.layers.begin()?;
        let alone = self.lowers.is_none();
        let job = Job {
            compressed: blob,
            diff_id: self.diff_id,
            into: draft.root(),
            lowers: self.lowers,
            limits: Limits {
                stream_bytes_max: config.unpacked_bytes_max,
                extension_bytes_max: config.entry_header_bytes_max,
                path_len_max: config.path_len_max,
            },
            budget: self.budget,
            cancel,
        };
        match unpack::unpack(job) {
            Ok(unpacked) => {
                let implied = unpacked.implied.iter().map(hex::encode).collect();
                let facts = LayerFacts { bytes: unpacked.bytes, entries: unpacked.entries, implied };
                self.workshop.layers.publish(&draft, &self.name, &facts)?;
                Ok(Outcome::Unpacked(facts))
            }
            Err(error @ LayerError::LinkTarget { .. }) if alone => {
                Ok(Outcome::NeedsLower(layer_error(&self.workshop, &self.image, &self.digest, error)))
            }
            Err(error) => Err(layer_error(&self.workshop, &self.image, &self.digest, error)),
        }
    }
}

/// A layer's error as an image's; a full disk is told as such, whatever was being written.
pub(super) fn layer_error(workshop: &Workshop, image: &str, digest: &Digest, error: LayerError) -> Error {
    if let Some(source) = error.disk_full() {
        return Error::DiskFull { path: workshop.layers.place(), source: source.clone() };
    }
    Error::Layer { image: image.to_owned(), digest: digest.clone(), source: Arc::new(error) }
}
