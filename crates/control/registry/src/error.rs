//! Internal errors of the registry, for the operator's log. Responses to clients are in
//! `problem.rs`.

use std::io;
use std::path::PathBuf;

use types::Digest;

/// A failed operation and its subject.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the registry's own metadata could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Metadata {
        /// The operation: `read`, `write`, `remove`…
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// A metadata file has unexpected content.
    #[error("registry record {} is damaged: {reason}; remove the file and push the image again", path.display())]
    DamagedRecord {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The content store failed.
    #[error("cannot {operation} {digest}")]
    Content {
        /// The operation: `open`, `pin`…
        operation: &'static str,
        /// Digest of the content.
        digest: Digest,
        /// Error of the store.
        source: Box<content_store::Error>,
    },
    /// The content store could not remove a pin.
    #[error("cannot remove the pin {owner}")]
    Unpin {
        /// The owner of the pin.
        owner: String,
        /// Error of the store.
        source: Box<content_store::Error>,
    },
    /// Existing content could not be read.
    #[error("cannot read {digest}")]
    ReadContent {
        /// The content.
        digest: Digest,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The content store failed during an upload.
    #[error("cannot {operation} an upload to repository {repository}")]
    Upload {
        /// The operation: `begin`, `write`, `finish`.
        operation: &'static str,
        /// The upload's repository.
        repository: String,
        /// Error of the store.
        source: Box<content_store::Error>,
    },
    /// A task ended before its work was done.
    #[error("the registry task that should {operation} ended early")]
    Task {
        /// Its operation.
        operation: &'static str,
        /// Panic or shutdown.
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// Whether the cause is a full disk or an exhausted quota.
    pub(crate) fn is_storage_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::Metadata { source, .. } | Self::ReadContent { source, .. } => full(source),
            Self::Content { source, .. } | Self::Unpin { source, .. } | Self::Upload { source, .. } => {
                matches!(**source, content_store::Error::DiskFull { .. })
            }
            Self::DamagedRecord { .. } | Self::Task { .. } => false,
        }
    }

    /// The chain of causes in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        types::error_chain(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_as_the_cause() {
        let error = |kind| Error::Metadata { operation: "write", path: "x".into(), source: io::Error::from(kind) };
        assert!(error(io::ErrorKind::StorageFull).is_storage_full());
        assert!(!error(io::ErrorKind::NotFound).is_storage_full());
        assert!(error(io::ErrorKind::NotFound).chain().starts_with("cannot write x: "));
    }
}
