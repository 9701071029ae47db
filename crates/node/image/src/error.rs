//! Errors of this crate as one type: each variant names the failed operation and its subject;
//! `hint` the remedy.

use std::sync::Arc;

use registry_client::TransferError;
use sys::disk::is_failed;
use types::{Digest, RunStatus};

/// An error of fetching, storing or using content. Cheap to clone, since callers that wait for the
/// same download or layer get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The preparation exceeded its time limit.
    #[error("image {image} was not ready within {limit_s} s")]
    TimedOut {
        /// The image as requested.
        image: String,
        /// The limit.
        limit_s: u64,
    },
    /// Manifest, index or config are invalid, or for another platform.
    #[error("image {image} cannot be used")]
    Manifest {
        /// The image as requested.
        image: String,
        /// The cause.
        source: oci::Error,
    },
    /// A layer is corrupt or violates a rule for layers.
    #[error("layer {digest} of image {image} cannot be used")]
    Layer {
        /// The image as requested.
        image: String,
        /// Compressed digest of the layer.
        digest: Digest,
        /// The cause.
        source: Arc<layer_index::Error>,
    },
    /// A limit was exceeded.
    #[error("image {image} has {actual} {what}; the limit is {limit} ([image] {key})")]
    TooLarge {
        /// The image as requested.
        image: String,
        /// The counted quantity.
        what: &'static str,
        /// The actual value.
        actual: u64,
        /// The limit.
        limit: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// Indexing it takes more memory than one image may use.
    #[error(
        "image {image} may take {bytes} bytes of memory to be indexed; one may take {limit}, half of \
         indexing_memory_bytes_max of [image]"
    )]
    NeedsMemory {
        /// The image as requested.
        image: String,
        /// The required memory.
        bytes: u64,
        /// The limit of one image.
        limit: u64,
    },
    /// The image's layers are not stored.
    #[error("image {digest} is not prepared on this machine")]
    NotPrepared {
        /// Digest that `prepare` returned.
        digest: Digest,
    },
    /// A registry failed, is unreachable, or sent an invalid response.
    #[error(transparent)]
    Registry(#[from] registry_client::Error),
    /// The content store failed.
    #[error(transparent)]
    Content(#[from] content_store::Error),
}

impl Error {
    /// The error code, the `ErrorCode` of a version's status reason.
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

    /// The status of a run that fails with this error (contract 4.5).
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

    /// The remedy for a user, as sentences.
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

    /// A complete report in one line: the failed operation, its subject, cause and remedy.
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
        // A corrupt compressed stream is the layer's fault.
        assert!(read(io::Error::from(io::ErrorKind::InvalidData)).disk_failed().is_none());
    }
}
