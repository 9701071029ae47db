//! Why a layer cannot be used, and what to do about it.

use std::io;
use std::sync::Arc;

use sys::disk::{is_failed, is_full};
use types::Digest;

/// What is wrong with a layer, or with the place where it is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The compressed stream cannot be read.
    #[error("its data cannot be read")]
    Read {
        /// What the decoder or the disk says.
        source: Arc<io::Error>,
    },
    /// It is no tar archive.
    #[error("its tar archive is damaged at byte {offset}: {reason}")]
    Archive {
        /// Byte of the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// An entry does what none may.
    #[error("entry {entry:?} {reason}")]
    Entry {
        /// Its path; bytes that are no text are replaced.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A hard link to a path that no entry may have.
    #[error("entry {entry:?} is a hard link to a path that {reason}")]
    LinkName {
        /// The link.
        entry: String,
        /// What is wrong with the path.
        reason: &'static str,
    },
    /// The layers do not make a root file system.
    #[error("it does not fit the layers below it")]
    Stack {
        /// Why.
        source: erofs::Error,
    },
    /// The uncompressed content is not what the config says.
    #[error("its content has digest {actual}, the config says {expected}")]
    DiffId {
        /// By the config.
        expected: Digest,
        /// As it is.
        actual: Digest,
    },
    /// More than a limit allows.
    #[error("it has more {what} than {limit} ([image] {key})")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How much there may be.
        limit: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// The file system refuses.
    #[error("cannot {operation} {entry:?}")]
    Write {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The path of the entry.
        entry: String,
        /// What the kernel says.
        source: Arc<io::Error>,
    },
    /// Nobody waits for it any more.
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

    /// The kernel's error, when it is that there is no room left.
    pub fn disk_full(&self) -> Option<&Arc<io::Error>> {
        match self {
            Self::Write { source, .. } if is_full(source) => Some(source),
            _ => None,
        }
    }

    /// The kernel's error, when it is that the disk or its file system fails.
    pub fn disk_failed(&self) -> Option<&Arc<io::Error>> {
        match self {
            Self::Read { source } | Self::Write { source, .. } if is_failed(source) => Some(source),
            _ => None,
        }
    }

    /// Whether a limit that the configuration sets is what it is over.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Stack { source: erofs::Error::TooLarge { .. } })
    }

    /// What a user can do about it, as a sentence.
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
