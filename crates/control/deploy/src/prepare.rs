//! What deploying needs of an image store, in its own terms: the binary implements it, and the fake
//! of the tests.

use std::sync::Arc;

use oci::RunConfig;
use tokio::sync::watch;
use types::{Digest, ImageRef, StatusReason};

/// What to prepare.
#[derive(Clone)]
pub struct PrepareRequest {
    /// The image.
    pub image: ImageRef,
    /// `tcr-…` of an enterprise registry, for credentials.
    pub registry_id: Option<String>,
    /// Who keeps it: pins the result, in place of what that owner pinned before.
    pub owner: String,
    /// Called with each report of progress; must return quickly.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// A prepared image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What the reference means.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
    /// How to run it.
    pub run: Arc<RunConfig>,
}

/// A step of a preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding out which content the reference means.
    Resolving,
    /// Transferring layers, which are indexed as they come.
    Pulling,
    /// All bytes are here, layers are still being indexed.
    Indexing,
    /// Making one root file system of the layers.
    Merging,
    /// Done.
    Ready,
}

/// How far a preparation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Layers that are ready.
    pub layers_done: usize,
    /// Layers of the image.
    pub layers_total: usize,
    /// Compressed bytes that are here, of config and layers.
    pub bytes_done: u64,
    /// Compressed bytes of config and layers; 0 until known.
    pub bytes_total: u64,
    /// Seconds of a pause that the registry asked for and is given now.
    pub pause_s: Option<u64>,
}

/// Prepares images and keeps them for owners. A caller that drops a future ends that work.
pub trait Prepare: Send + Sync + 'static {
    /// Makes an image ready to run and pins it for the request's owner.
    ///
    /// # Errors
    /// The reason as the function's owner shall read it.
    fn prepare(&self, request: PrepareRequest) -> impl Future<Output = Result<Prepared, StatusReason>> + Send;

    /// Ends what an owner keeps; nothing happens when it keeps nothing.
    ///
    /// # Errors
    /// The reason as the operator shall read it.
    fn unpin(&self, owner: &str) -> impl Future<Output = Result<(), StatusReason>> + Send;

    /// Keeps an image for an owner if all of it is there; false when something is missing or
    /// damaged.
    ///
    /// # Errors
    /// The reason as the operator shall read it.
    fn keep(&self, owner: &str, digest: &Digest) -> impl Future<Output = Result<bool, StatusReason>> + Send;

    /// Changes when content is found damaged.
    fn damage(&self) -> watch::Receiver<u64>;

    /// Owners whose text begins with `prefix` and that keep something.
    fn owners(&self, prefix: &str) -> Vec<String>;
}
