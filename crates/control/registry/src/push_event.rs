//! Notification of pushed content, so that preparation can begin before a deployment.

use std::sync::Arc;

use types::Digest;

/// Content that is now in a repository: complete, verified, durable and pinned. Also sent for
/// content that the store, or the repository, had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushEvent<'a> {
    /// A blob: a layer, a configuration, or anything else; only a manifest defines which.
    Blob {
        /// Its digest.
        digest: &'a Digest,
    },
    /// A manifest or an index; everything that it names arrived before.
    Manifest {
        /// Its digest.
        digest: &'a Digest,
        /// Its media type, as pushed.
        media_type: &'a str,
    },
}

/// Called for each event once it can be pulled and before the response, even when the client has
/// disconnected. It runs on the async runtime and delays the response: it may start work, but must
/// not block.
pub type PushListener = Arc<dyn Fn(PushEvent<'_>) + Send + Sync>;
