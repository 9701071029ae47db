//! Interface to the image store, in terms of this crate. The binary implements it, and the tests
//! have a fake.

use std::sync::Arc;

use oci::RunConfig;
use tokio::sync::watch;
use types::{Digest, ImageRef, StatusReason};

/// A request for a preparation.
#[derive(Clone)]
pub struct PrepareRequest {
    /// The image.
    pub image: ImageRef,
    /// `tcr-…` of an enterprise registry, for credentials.
    pub registry_id: Option<String>,
    /// Owner of the pin; replaces what the owner pinned before.
    pub owner: String,
    /// Called with each report of progress; must return quickly.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// A prepared image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Digest that the reference resolved to.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
    /// Run configuration.
    pub run: Arc<RunConfig>,
}

/// A step of a preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Resolves the reference to a digest.
    Resolving,
    /// Transfers layers and indexes them as they arrive.
    Pulling,
    /// All bytes are present; layers are still being indexed.
    Indexing,
    /// Merges the layers into one root file system.
    Merging,
    /// The image is ready.
    Ready,
}

/// Progress of a preparation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// Indexed layers.
    pub layers_done: usize,
    /// Layers of the image.
    pub layers_total: usize,
    /// Received compressed bytes of config and layers.
    pub bytes_done: u64,
    /// Compressed bytes of config and layers; 0 until known.
    pub bytes_total: u64,
    /// Seconds of a pause that the registry requested and that is in effect.
    pub pause_s: Option<u64>,
}

/// Prepares images and pins them for owners. Dropping a future cancels its work.
pub trait Prepare: Send + Sync + 'static {
    /// Prepares an image and pins it for the request's owner.
    ///
    /// # Errors
    /// The reason, worded for the function's owner.
    fn prepare(&self, request: PrepareRequest) -> impl Future<Output = Result<Prepared, StatusReason>> + Send;

    /// Removes the pin of an owner; no effect without one.
    ///
    /// # Errors
    /// The reason, worded for the operator.
    fn unpin(&self, owner: &str) -> impl Future<Output = Result<(), StatusReason>> + Send;

    /// Pins an image for an owner if it is complete; false when a part is missing or damaged.
    ///
    /// # Errors
    /// The reason, worded for the operator.
    fn keep(&self, owner: &str, digest: &Digest) -> impl Future<Output = Result<bool, StatusReason>> + Send;

    /// Changes when damaged content is found.
    fn damage(&self) -> watch::Receiver<u64>;

    /// Owners with a pin whose name begins with `prefix`.
    fn owners(&self, prefix: &str) -> Vec<String>;
}
