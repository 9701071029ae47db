//! Why content cannot be kept or read, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sys::disk::{is_failed, is_full};
use types::Digest;

/// What to do about content that is gone.
pub const DEPLOY_AGAIN: &str = "Deploy the function's image again.";

/// Why content cannot be kept or read. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Content is not what its digest says.
    #[error("content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// The store has nothing of that digest.
    #[error("the content store has no {digest}")]
    UnknownContent {
        /// The digest.
        digest: Digest,
    },
    /// Too large for being read into memory.
    #[error("content {digest} has {size} bytes; {limit} can be read at once")]
    ContentTooLarge {
        /// The digest.
        digest: Digest,
        /// Its bytes.
        size: u64,
        /// What was allowed.
        limit: u64,
    },
    /// What is on disk is no longer what was written.
    #[error("content {digest} at {} is damaged on disk", path.display())]
    Damaged {
        /// The digest.
        digest: Digest,
        /// Where it is.
        path: PathBuf,
    },
    /// No room, or a quota is used up.
    #[error("no space is left for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// What the kernel says.
        source: Arc<io::Error>,
    },
    /// Any other failure of the disk.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel says.
        source: Arc<io::Error>,
    },
    /// Work ended without a result: a bug here, or the platform is stopping.
    #[error("{operation} ended without a result")]
    Interrupted {
        /// What was being done.
        operation: &'static str,
    },
}

impl Error {
    /// An error of the disk; a full one is a variant of its own.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let source = Arc::new(source);
        if is_full(&source) { Self::DiskFull { path, source } } else { Self::Io { operation, path, source } }
    }

    /// What a user can do about it, as sentences.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::UnknownContent { .. } => DEPLOY_AGAIN,
            Self::DigestMismatch { .. } => "Send the content again.",
            Self::ContentTooLarge { .. } => "",
            Self::Damaged { .. } => "Check the disk, remove the file, and push or deploy the image again.",
            Self::DiskFull { .. } => {
                "Free space on that file system: delete functions that are not needed, then `sampan images prune`."
            }
            Self::Io { source, .. } if is_failed(source) => {
                "The disk of this machine or its file system fails; the image is not to blame. See the kernel's log."
            }
            Self::Io { .. } => "Check the data directory, its permissions and its file system.",
            Self::Interrupted { .. } => "Try again; the platform log has the cause.",
        }
    }

    /// What failed, on what, why, and what to do, in one line.
    pub fn report(&self) -> String {
        report(self, self.hint())
    }
}

/// An error with all its causes, and what to do about it, in one line.
pub fn report(error: &dyn std::error::Error, hint: &str) -> String {
    let mut text = types::error_chain(error);
    if !hint.is_empty() {
        text.push_str(". ");
        text.push_str(hint);
    }
    text
}
