//! What deploying needs of an image store. Implemented by [`image::Images`], and by the fake of the tests.

use image::{PrepareRequest, Prepared};
use types::StatusReason;

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

    /// Owners whose text begins with `prefix` and that keep something.
    fn owners(&self, prefix: &str) -> Vec<String>;
}
