//! Errors of creating root file systems.

use types::Digest;

/// An error of creating a root file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer is missing.
    #[error("layer {diff_id} is not here")]
    MissingLayer {
        /// Its diff id.
        diff_id: Digest,
    },
    /// A layer cannot be merged with those below it.
    #[error("layer {diff_id} cannot be put on those below it")]
    Layer {
        /// Its diff id.
        diff_id: Digest,
        /// The cause.
        source: layer_index::Error,
    },
    /// The content store failed.
    #[error(transparent)]
    Content(#[from] content_store::Error),
}
