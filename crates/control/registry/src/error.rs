//! What can fail inside the registry, for the operator. What a client is told is `problem.rs`'s.

use std::io;
use std::path::PathBuf;

use types::Digest;

/// A failed operation of the registry and what it was done to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the registry's own metadata could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Metadata {
        /// What was tried: `read`, `write`, `remove`…
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A metadata file holds something else than the registry writes there.
    #[error("registry record {} is damaged: {reason}; remove the file and push the image again", path.display())]
    DamagedRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The content store refused or failed.
    #[error("cannot {operation} {digest}")]
    Content {
        /// What was tried: `open`, `pin`…
        operation: &'static str,
        /// On which content.
        digest: Digest,
        /// What the store said.
        source: Box<content_store::Error>,
    },
    /// The content store could not let go of what a repository held.
    #[error("cannot end the pin {owner}")]
    Unpin {
        /// The owner of the pin.
        owner: String,
        /// What the store said.
        source: Box<content_store::Error>,
    },
    /// Content that is there could not be read.
    #[error("cannot read {digest}")]
    ReadContent {
        /// The content.
        digest: Digest,
        /// What the kernel said.
        source: io::Error,
    },
    /// The content store could not take an upload.
    #[error("cannot {operation} an upload to repository {repository}")]
    Upload {
        /// What was tried: `begin`, `write`, `finish`.
        operation: &'static str,
        /// The repository it was for.
        repository: String,
        /// What the store said.
        source: Box<content_store::Error>,
    },
    /// A task of the registry ended before its work was done.
    #[error("the registry task that should {operation} ended early")]
    Task {
        /// What it should have done.
        operation: &'static str,
        /// Panic or shutdown.
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// Whether the cause is a full disk or a used-up quota.
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

    /// The whole chain of causes in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_under_the_operation_that_met_it() {
        let error = |kind| Error::Metadata { operation: "write", path: "x".into(), source: io::Error::from(kind) };
        assert!(error(io::ErrorKind::StorageFull).is_storage_full());
        assert!(!error(io::ErrorKind::NotFound).is_storage_full());
        assert!(error(io::ErrorKind::NotFound).chain().starts_with("cannot write x: "));
    }
}
