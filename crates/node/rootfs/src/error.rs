//! Why a root file system cannot be made.

use types::Digest;

/// Why a root file system cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer went away.
    #[error("layer {diff_id} is not here")]
    MissingLayer {
        /// Which one.
        diff_id: Digest,
    },
    /// A layer does not fit those below it.
    #[error("layer {diff_id} cannot be put on those below it")]
    Layer {
        /// Which one.
        diff_id: Digest,
        /// Why.
        source: layer_index::Error,
    },
    /// The content store refused or failed.
    #[error(transparent)]
    Content(#[from] content_store::Error),
}
