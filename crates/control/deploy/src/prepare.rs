//! What deploying needs of an image store. Implemented by [`image::Images`], and by the fake of the tests.

use image::{PrepareRequest, Prepared};
use tokio::sync::watch;
use types::{Digest, StatusReason};

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

    /// Keeps an image for an owner if all of it is there; false when something is missing or damaged.
    ///
    /// # Errors
    /// The reason as the operator shall read it.
    fn keep(&self, owner: &str, digest: &Digest) -> impl Future<Output = Result<bool, StatusReason>> + Send;

    /// Changes when content is found damaged.
    fn damage(&self) -> watch::Receiver<u64>;

    /// Owners whose text begins with `prefix` and that keep something.
    fn owners(&self, prefix: &str) -> Vec<String>;
}
