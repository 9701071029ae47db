//! Errors of layers, with remedies.

use std::io;
use std::sync::Arc;

use sys::disk::{is_failed, is_full};
use types::Digest;

/// An error of a layer, or of the place where it is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The compressed stream cannot be read.
    #[error("its data cannot be read")]
    Read {
        /// The error of the decoder or the disk.
        source: Arc<io::Error>,
    },
    /// It is not a tar archive.
    #[error("its tar archive is damaged at byte {offset}: {reason}")]
    Archive {
        /// Offset in the uncompressed stream.
        offset: u64,
        /// The problem at that offset.
        reason: &'static str,
    },
    /// An invalid entry.
    #[error("entry {entry:?} {reason}")]
    Entry {
        /// Its path; bytes that are not UTF-8 are replaced.
        entry: String,
        /// The problem.
        reason: &'static str,
    },
    /// A hard link to an invalid path.
    #[error("entry {entry:?} is a hard link to a path that {reason}")]
    LinkName {
        /// The link.
        entry: String,
        /// The problem with the path.
        reason: &'static str,
    },
    /// The layers cannot be merged into a root file system.
    #[error("it does not fit the layers below it")]
    Stack {
        /// The cause.
        source: erofs::Error,
    },
    /// The uncompressed content does not have the config's digest.
    #[error("its content has digest {actual}, the config says {expected}")]
    DiffId {
        /// The digest in the config.
        expected: Digest,
        /// The actual digest.
        actual: Digest,
    },
    /// A limit was exceeded.
    #[error("it has more {what} than {limit} ([image] {key})")]
    TooLarge {
        /// The counted quantity.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// A write to the file system failed.
    #[error("cannot {operation} {entry:?}")]
    Write {
        /// The failed operation, as a verb phrase.
        operation: &'static str,
        /// The path of the entry.
        entry: String,
        /// The kernel's error.
        source: Arc<io::Error>,
    },
    /// The work was cancelled.
    #[error("it is no longer wanted")]
    Cancelled,
}

impl Error {
    pub(crate) fn entry(path: &[u8], reason: &'static str) -> Self {
        Self::Entry { entry: erofs::shown_path(path), reason }
    }

    /// A failure of the file system at an entry.
    pub fn write(operation: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        Self::Write { operation, entry: erofs::shown_path(path), source: Arc::new(source.into()) }
    }

    /// The kernel's error, if the disk is full.
    pub fn disk_full(&self) -> Option<&Arc<io::Error>> {
        match self {
            Self::Write { source, .. } if is_full(source) => Some(source),
            _ => None,
        }
    }

    /// The kernel's error, if the disk or its file system failed.
    pub fn disk_failed(&self) -> Option<&Arc<io::Error>> {
        match self {
            Self::Read { source } | Self::Write { source, .. } if is_failed(source) => Some(source),
            _ => None,
        }
    }

    /// Whether a configurable limit was exceeded.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Stack { source: erofs::Error::TooLarge { .. } })
    }

    /// The remedy for a user, as a sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Stack { source: erofs::Error::TooLarge { .. } } => {
                "Use a smaller image, or raise the limit."
            }
            Self::Read { .. } | Self::Archive { .. } | Self::DiffId { .. } => "Build and push the image again.",
            Self::Stack { source } => source.hint(),
            Self::Entry { .. } | Self::LinkName { .. } => "Build the image again without this entry.",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => "Run Sampan as root.",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::Unsupported => {
                "Put the data directory on a file system with extended attributes, such as ext4, xfs or btrfs."
            }
            Self::Write { .. } => "Check the data directory and its file system.",
            Self::Cancelled => "",
        }
    }
}
