//! What can fail here, as one type: each variant names what failed on what; `hint` says what to do.

use std::sync::Arc;

use sys::disk::is_failed;
use types::{Digest, RunStatus};

use crate::credentials::CredentialError;
use crate::pull::RefusedDestination;

/// Why content could not be had, kept or used. Cheap to clone, since callers that wait for the same download or
/// layer get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke more often than is retried.
    #[error("registry {registry} cannot be reached for image {image}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What the HTTP client says.
        source: Arc<reqwest::Error>,
    },
    /// Asked in TLS, answered in something else.
    #[error("registry {registry} does not speak TLS (image {image})")]
    PlainHttp {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
    },
    /// Asked in plain HTTP, but it wants TLS.
    #[error("registry {registry} does not speak plain HTTP (image {image})")]
    NeedsTls {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
    },
    /// The certificate, or the TLS handshake, failed.
    #[error("the TLS connection to registry {registry} cannot be trusted (image {image})")]
    Untrusted {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What the TLS library says.
        source: Arc<reqwest::Error>,
    },
    /// 401 or 403 in the end.
    #[error(
        "registry {registry} denies access to image {image}: HTTP {status}, {}{detail}",
        match .provider { Some(provider) => format!("with credentials from {provider}"), None => "without credentials".to_owned() }
    )]
    AccessDenied {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// HTTP status.
        status: u16,
        /// Who gave the credentials that were sent; `None` when none were.
        provider: Option<String>,
        /// The registry's own words, with a separator in front; may be empty.
        detail: String,
    },
    /// 404.
    #[error("registry {registry} has no {what} for image {image}{detail}")]
    NotFound {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What was asked for, such as `manifest v1`.
        what: String,
        /// The registry's own words, with a separator in front; may be empty.
        detail: String,
    },
    /// Any other status, after retries where they may help.
    #[error("registry {registry} answers HTTP {status} for image {image}{detail}{}", wanted_pause(*retry_after_s))]
    Refused {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// HTTP status.
        status: u16,
        /// The registry's own words, with a separator in front; may be empty.
        detail: String,
        /// When it asks to be asked again, in seconds.
        retry_after_s: Option<u64>,
    },
    /// It sends less than is waited for.
    #[error(
        "registry {registry} sends image {image} at {bytes_per_s} bytes a second; less than {bytes_per_s_min} over {over_s} s is not waited for"
    )]
    TooSlow {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What came.
        bytes_per_s: u64,
        /// What must come.
        bytes_per_s_min: u64,
        /// Over how long.
        over_s: u64,
    },
    /// The registry breaks the distribution protocol.
    #[error("registry {registry} answers wrongly for image {image}: {what}")]
    Protocol {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What is wrong.
        what: String,
    },
    /// A registry redirects, or sends for a token, to where none may lead.
    #[error("registry {registry} leads to {destination} (image {image}); nothing was sent there")]
    LeadsAstray {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// Where to.
        destination: RefusedDestination,
    },
    /// The preparation took longer than it may.
    #[error("image {image} was not ready within {limit_s} s")]
    TimedOut {
        /// The image as it was asked for.
        image: String,
        /// The limit.
        limit_s: u64,
    },
    /// Credentials are configured but cannot be had.
    #[error("no credentials for registry {registry} (image {image})")]
    Credentials {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// Why.
        source: CredentialError,
    },
    /// Manifest, index or config are wrong, or describe what cannot run here.
    #[error("image {image} cannot be used")]
    Manifest {
        /// The image as it was asked for.
        image: String,
        /// Why.
        source: oci::Error,
    },
    /// A layer is corrupt or does what no layer may.
    #[error("layer {digest} of image {image} cannot be used")]
    Layer {
        /// The image as it was asked for.
        image: String,
        /// Compressed digest of the layer.
        digest: Digest,
        /// Why.
        source: Arc<layer_index::Error>,
    },
    /// More than a limit allows.
    #[error("image {image} has {actual} {what}; the limit is {limit} ([image] {key})")]
    TooLarge {
        /// The image as it was asked for.
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
        "image {image} may take {bytes} bytes of memory to be indexed; one may take {limit}, half of indexing_memory_bytes_max of [image]"
    )]
    NeedsMemory {
        /// The image as it was asked for.
        image: String,
        /// What it may take.
        bytes: u64,
        /// What one image may take.
        limit: u64,
    },
    /// A registry sends another number of bytes than the manifest says.
    #[error("blob {digest} of image {image} has {actual} bytes or more, its manifest says {expected}")]
    SizeMismatch {
        /// The image as it was asked for.
        image: String,
        /// The blob.
        digest: Digest,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// A registry sends other content than it was asked for.
    #[error("registry {registry} sends content with digest {actual} for {expected} of image {image}")]
    WrongContent {
        /// Host and port.
        registry: String,
        /// The image as it was asked for.
        image: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The image's layers are not on disk.
    #[error("image {digest} is not prepared on this machine")]
    NotPrepared {
        /// Digest that `prepare` returned.
        digest: Digest,
    },
    /// The content store refused or failed.
    #[error(transparent)]
    Content(#[from] content_store::Error),
}

impl Error {
    /// A word to match on, the `ErrorCode` of a version's status reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Protocol { .. } => "RegistryUnreachable",
            Self::PlainHttp { .. } | Self::NeedsTls { .. } | Self::Untrusted { .. } => "RegistryTlsFailed",
            Self::AccessDenied { .. } | Self::Credentials { .. } => "ImageAccessDenied",
            Self::NotFound { .. } => "ImageNotFound",
            Self::LeadsAstray { .. } => "RegistryRedirectRefused",
            Self::TimedOut { .. } | Self::TooSlow { .. } => "PullImageTimeOut",
            Self::Manifest { source: oci::Error::Platform { .. }, .. } => "ImagePlatformMismatch",
            Self::Layer { source, .. } if source.is_too_large() => "ImageTooLarge",
            Self::Layer { source, .. }
                if matches!(**source, layer_index::Error::Write { .. } | layer_index::Error::Cancelled) =>
            {
                "PullImageFailed"
            }
            Self::Manifest { .. } | Self::Layer { .. } | Self::SizeMismatch { .. } | Self::WrongContent { .. } => {
                "ImageInvalid"
            }
            Self::TooLarge { .. } | Self::NeedsMemory { .. } => "ImageTooLarge",
            Self::NotPrepared { .. } => "PullImageFailed",
            Self::Content(error) => content_code(error),
        }
    }

    /// The status of a run that fails for this (contract 4.5).
    pub fn run_status(&self) -> RunStatus {
        match self {
            Self::TimedOut { .. } | Self::TooSlow { .. } => RunStatus::PullImageTimeOut,
            _ if self.code() == "DiskFull" => RunStatus::InsufficientResources,
            Self::Content(content_store::Error::Io { .. } | content_store::Error::Interrupted { .. }) => {
                RunStatus::InternalError
            }
            _ => RunStatus::PullImageFailed,
        }
    }

    /// Whether the same request may succeed later without a change of the image or the configuration.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Refused { .. }
                | Self::TooSlow { .. }
                | Self::TimedOut { .. }
                | Self::Content(content_store::Error::Interrupted { .. })
        ) || self.code() == "DiskFull"
    }

    /// What a user can do about it, as sentences.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "Check the registry's name and port, and that this machine reaches it (DNS, firewall, HTTPS_PROXY)."
            }
            Self::PlainHttp { .. } => {
                "If it is meant to be unencrypted, say so with `sampan registry add HOST --plain-http` or plain_http = true under [registries.\"HOST\"]."
            }
            Self::NeedsTls { .. } => {
                "Remove plain_http from [registries.\"HOST\"] and the registry from insecure_registries of [image]; for one on a loopback address name its authority with `sampan registry add HOST --ca FILE`."
            }
            Self::Untrusted { .. } => {
                "Name its certificate authority with `sampan registry add HOST --ca FILE`, and check the host name and the clock."
            }
            Self::AccessDenied { provider: None, .. } => {
                "Log in with `sampan registry add HOST --username USER --password-stdin` or `docker login`, check the name, and that the repository exists."
            }
            Self::AccessDenied { .. } => {
                "Check user and password, and that they may pull from this repository; `sampan registry test IMAGE` asks again."
            }
            Self::NotFound { .. } => "Check repository and tag, and that the image has been pushed.",
            Self::Refused { .. } => "Try again later; if it stays, ask the operator of the registry.",
            Self::TooSlow { .. } => {
                "Use a nearer registry or a mirror of it, or lower transfer_bytes_per_s_min of [image]."
            }
            Self::Protocol { .. } => {
                "Check that the address is that of a container registry and that no proxy answers for it."
            }
            Self::LeadsAstray { .. } => {
                "If the registry keeps its content or its token server there, add the address to redirects_allowed of [image]."
            }
            Self::TimedOut { .. } => "Use a smaller image or a nearer registry, or raise prepare_timeout_s of [image].",
            Self::Credentials { .. } => {
                "Mend what the provider of the credentials says, or log in again with `sampan registry add HOST`."
            }
            Self::Manifest { source, .. } => source.hint(),
            Self::Layer { source, .. } => source.hint(),
            Self::NeedsMemory { .. } => "Use an image with fewer files, or raise the limit.",
            Self::TooLarge { .. } => "Use a smaller image, or raise the limit.",
            Self::SizeMismatch { .. } | Self::WrongContent { .. } => {
                "Push the image again; what the registry or a proxy on the way sends is damaged."
            }
            Self::NotPrepared { .. } => content_store::DEPLOY_AGAIN,
            Self::Content(error) => error.hint(),
        }
    }

    /// All that a user should read, in one line: what failed, on what, why, and what to do.
    pub fn report(&self) -> String {
        content_store::report(self, self.hint())
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

fn wanted_pause(retry_after_s: Option<u64>) -> String {
    retry_after_s.map(|seconds| format!(", and asks to be asked again in {seconds} s")).unwrap_or_default()
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
