//! What can fail here, as one type: each variant names what failed on what; `hint` says what to do.

use std::sync::Arc;

use registry_client::TransferError;
use sys::disk::is_failed;
use types::{Digest, RunStatus};

/// Why content could not be had, kept or used. Cheap to clone, since callers that wait for the same
/// download or layer get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The preparation took longer than it may.
    #[error("image {image} was not ready within {limit_s} s")]
    TimedOut {
        /// The requested image reference.
        image: String,
        /// The limit.
        limit_s: u64,
    },
    /// Manifest, index or config are wrong, or describe what cannot run here.
    #[error("image {image} cannot be used")]
    Manifest {
        /// The requested image reference.
        image: String,
        /// Why.
        source: oci::Error,
    },
    /// A layer is corrupt or does what no layer may.
    #[error("layer {digest} of image {image} cannot be used")]
    Layer {
        /// The requested image reference.
        image: String,
        /// Compressed digest of the layer.
        digest: Digest,
        /// Why.
        source: Arc<layer_index::Error>,
    },
    /// More than a limit allows.
    #[error("image {image} has {actual} {what}; the limit is {limit} ([image] {key})")]
    TooLarge {
        /// The requested image reference.
        image: String,
        /// What is counted.
        what: &'static str,
        /// How much there is.
        actual: u64,
        /// How much there may be.
        limit: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// Indexing it takes more memory than one image may.
    #[error(
        "image {image} may take {bytes} bytes of memory to be indexed; one may take {limit}, half of \
         indexing_memory_bytes_max of [image]"
    )]
    NeedsMemory {
        /// The requested image reference.
        image: String,
        /// What it may take.
        bytes: u64,
        /// What one image may take.
        limit: u64,
    },
    /// The image's layers are not on disk.
    #[error("image {digest} is not prepared on this machine")]
    NotPrepared {
        /// Digest that `prepare` returned.
        digest: Digest,
    },
    /// A registry refused, cannot be reached, or sent what was not asked for.
    #[error(transparent)]
    Registry(#[from] registry_client::Error),
    /// The content store refused or failed.
    #[error(transparent)]
    Content(#[from] content_store::Error),
}

impl Error {
    /// A word to match on, the `ErrorCode` of a version's status reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Registry(error) => error.code(),
            Self::TimedOut { .. } => "PullImageTimeOut",
            Self::Manifest { source: oci::Error::Platform { .. }, .. } => "ImagePlatformMismatch",
            Self::Layer { source, .. } if source.is_too_large() => "ImageTooLarge",
            Self::Layer { source, .. }
                if matches!(**source, layer_index::Error::Write { .. } | layer_index::Error::Cancelled) =>
            {
                "PullImageFailed"
            }
            Self::Manifest { .. } | Self::Layer { .. } => "ImageInvalid",
            Self::TooLarge { .. } | Self::NeedsMemory { .. } => "ImageTooLarge",
            Self::NotPrepared { .. } => "PullImageFailed",
            Self::Content(error) => content_code(error),
        }
    }

    /// The status of a run that fails for this (contract 4.5).
    pub fn run_status(&self) -> RunStatus {
        match self {
            _ if self.code() == "PullImageTimeOut" => RunStatus::PullImageTimeOut,
            _ if self.code() == "DiskFull" => RunStatus::InsufficientResources,
            Self::Content(content_store::Error::Io { .. } | content_store::Error::Interrupted { .. }) => {
                RunStatus::InternalError
            }
            _ => RunStatus::PullImageFailed,
        }
    }

    /// Whether the same request may succeed later without a change of the image or the
    /// configuration.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_retryable(),
            Self::TimedOut { .. } | Self::Content(content_store::Error::Interrupted { .. }) => true,
            _ => self.code() == "DiskFull",
        }
    }

    /// What a user can do about it, as sentences.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Registry(error) => error.hint(),
            Self::TimedOut { .. } => "Use a smaller image or a nearer registry, or raise prepare_timeout_s of [image].",
            Self::Manifest { source, .. } => source.hint(),
            Self::Layer { source, .. } => source.hint(),
            Self::NeedsMemory { .. } => "Use an image with fewer files, or raise the limit.",
            Self::TooLarge { .. } => "Use a smaller image, or raise the limit.",
            Self::NotPrepared { .. } => content_store::DEPLOY_AGAIN,
            Self::Content(error) => error.hint(),
        }
    }

    /// All that a user should read, in one line: what failed, on what, why, and what to do.
    pub fn report(&self) -> String {
        content_store::report(self, self.hint())
    }
}

impl From<TransferError<Error>> for Error {
    fn from(error: TransferError<Error>) -> Self {
        match error {
            TransferError::Registry(error) => Self::Registry(error),
            TransferError::Sink(error) => error,
        }
    }
}

fn content_code(error: &content_store::Error) -> &'static str {
    match error {
        content_store::Error::DigestMismatch { .. } => "ImageInvalid",
        content_store::Error::ContentTooLarge { .. } => "ImageTooLarge",
        content_store::Error::DiskFull { .. } => "DiskFull",
        content_store::Error::Io { source, .. } if is_failed(source) => "DiskFailed",
        content_store::Error::UnknownContent { .. }
        | content_store::Error::Damaged { .. }
        | content_store::Error::Io { .. }
        | content_store::Error::Interrupted { .. } => "PullImageFailed",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_disk_that_fails_is_not_the_images_fault() {
        let failed =
            |errno: Errno| Error::from(content_store::Error::io("read", Path::new("/data/images"), errno.into()));
        for errno in [Errno::IO, Errno::UCLEAN, Errno::ROFS] {
            let error = failed(errno);
            assert_eq!((error.code(), error.run_status()), ("DiskFailed", RunStatus::InternalError), "{error}");
            let report = error.report();
            assert!(report.contains("/data/images") && report.contains("disk of this machine"), "{report}");
        }
        assert_eq!(failed(Errno::ACCESS).code(), "PullImageFailed");
        let read = |source: io::Error| layer_index::Error::Read { source: Arc::new(source) };
        assert!(read(Errno::IO.into()).disk_failed().is_some());
        assert!(layer_index::Error::write("write", b"the layer's tar", Errno::IO).disk_failed().is_some());
        // A stream that cannot be inflated is.
        assert!(read(io::Error::from(io::ErrorKind::InvalidData)).disk_failed().is_none());
    }
}
