//! What is told of content that a push brought, so that work on it may begin before anyone asks. Must not know what is
//! done with it.

use std::sync::Arc;

use types::Digest;

/// Content that a repository has from now on: whole, verified, durable and pinned. A repository may get content that
/// the store, or this very repository, had before; that is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// A blob: a layer, a configuration, or anything else. What it is, only a manifest will say.
    Blob {
        /// Its digest.
        digest: &'a Digest,
    },
    /// A manifest or an index; all that it names arrived before it.
    Manifest {
        /// Its digest.
        digest: &'a Digest,
        /// Its media type, as it was pushed.
        media_type: &'a str,
    },
}

/// Called for each arrival, after it can be pulled and before its sender is told; also when the sender has gone away.
/// It runs on the runtime's own threads and holds up the sender's answer: it may start work, but must not do any.
pub type ArrivalListener = Arc<dyn Fn(Arrival<'_>) + Send + Sync>;
