//! Errors of storing and reading content, with remedies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sys::disk::{is_failed, is_full};
use types::Digest;

/// Remedy for lost content.
pub const DEPLOY_AGAIN: &str = "Deploy the function's image again.";

/// An error of storing or reading content. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Content does not have the expected digest.
    #[error("content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        actual: Digest,
    },
    /// The store has no content of that digest.
    #[error("the content store has no {digest}")]
    UnknownContent {
        /// The digest.
        digest: Digest,
    },
    /// Content too large to read into memory.
    #[error("content {digest} has {size} bytes; {limit} can be read at once")]
    ContentTooLarge {
        /// The digest.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Content on disk differs from what was written.
    #[error("content {digest} at {} is damaged on disk", path.display())]
    Damaged {
        /// The digest.
        digest: Digest,
        /// Its path.
        path: PathBuf,
    },
    /// The disk is full, or a quota is used up.
    #[error("no space is left for {}", path.display())]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// The kernel's error.
        source: Arc<io::Error>,
    },
    /// Any other failure of the disk.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// The failed operation, as a verb phrase.
        operation: &'static str,
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: Arc<io::Error>,
    },
    /// Work ended without a result: a bug in this crate, or the platform is stopping.
    #[error("{operation} ended without a result")]
    Interrupted {
        /// The interrupted operation.
        operation: &'static str,
    },
}

impl Error {
    /// Converts an error of the disk; a full disk has a variant of its own.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let source = Arc::new(source);
        if is_full(&source) { Self::DiskFull { path, source } } else { Self::Io { operation, path, source } }
    }

    /// The remedy for a user, as sentences.
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

    /// The failed operation, its subject, cause and remedy, in one line.
    pub fn report(&self) -> String {
        report(self, self.hint())
    }
}

/// An error with all its causes and the remedy, in one line.
pub fn report(error: &dyn std::error::Error, hint: &str) -> String {
    let mut text = types::error_chain(error);
    if !hint.is_empty() {
        text.push_str(". ");
        text.push_str(hint);
    }
    text
}
