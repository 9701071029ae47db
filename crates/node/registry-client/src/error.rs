//! Errors of requests to registries, with hints.

use std::sync::Arc;

use types::Digest;

use crate::credentials::CredentialError;
use crate::destination::RefusedDestination;

/// An error of a request to a registry. Cheap to clone, since callers that wait for the same
/// download share the error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke after all retries.
    #[error("registry {registry} cannot be reached for image {image}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The HTTP client's error.
        source: Arc<reqwest::Error>,
    },
    /// A TLS request was answered without TLS.
    #[error("registry {registry} does not speak TLS (image {image})")]
    PlainHttp {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
    },
    /// A plain HTTP request was answered by a TLS server.
    #[error("registry {registry} does not speak plain HTTP (image {image})")]
    NeedsTls {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
    },
    /// The certificate, or the TLS handshake, failed.
    #[error("the TLS connection to registry {registry} cannot be trusted (image {image})")]
    Untrusted {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The TLS library's error.
        source: Arc<reqwest::Error>,
    },
    /// 401 or 403 after authentication.
    #[error(
        "registry {registry} denies access to image {image}: HTTP {status}, {}{detail}",
        shown(provider.as_deref())
    )]
    AccessDenied {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// HTTP status.
        status: u16,
        /// Provider of the credentials that were sent; `None` without any.
        provider: Option<String>,
        /// The registry's message, after a separator; may be empty.
        detail: String,
    },
    /// 404.
    #[error("registry {registry} has no {what} for image {image}{detail}")]
    NotFound {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The requested resource, such as `manifest v1`.
        what: String,
        /// The registry's message, after a separator; may be empty.
        detail: String,
    },
    /// Any other status, after retries of transient ones.
    #[error("registry {registry} answers HTTP {status} for image {image}{detail}{}", wanted_pause(*retry_after_s))]
    Refused {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// HTTP status.
        status: u16,
        /// The registry's message, after a separator; may be empty.
        detail: String,
        /// Its Retry-After, in seconds.
        retry_after_s: Option<u64>,
    },
    /// The transfer is below the minimum throughput.
    #[error(
        "registry {registry} sends image {image} at {bytes_per_s} bytes a second; less than {bytes_per_s_min} \
         over {over_s} s is not waited for"
    )]
    TooSlow {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The measured rate.
        bytes_per_s: u64,
        /// The minimum rate.
        bytes_per_s_min: u64,
        /// Time over which it was measured.
        over_s: u64,
    },
    /// An upload made no progress.
    #[error("registry {registry} took nothing and answered nothing for {over_s} s (image {image})")]
    Stalled {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// Time without progress.
        over_s: u64,
    },
    /// The registry violates the distribution protocol.
    #[error("registry {registry} answers wrongly for image {image}: {what}")]
    Protocol {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The violation.
        what: String,
    },
    /// A redirect, token server or upload location at an address that is not allowed.
    #[error("registry {registry} redirects to {destination} (image {image}); nothing was sent there")]
    RedirectRefused {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The address and why it is not allowed.
        destination: RefusedDestination,
    },
    /// Configured credentials are not available.
    #[error("no credentials for registry {registry} (image {image})")]
    Credentials {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The cause.
        source: CredentialError,
    },
    /// A manifest exceeds the limit.
    #[error("image {image} has {actual} bytes in its manifest; the limit is {limit} ([image] manifest_bytes_max)")]
    ManifestTooLarge {
        /// The image as requested.
        image: String,
        /// Its length in bytes.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// A registry sends another number of bytes than the manifest states.
    #[error("blob {digest} of image {image} has {actual} bytes or more, its manifest says {expected}")]
    SizeMismatch {
        /// The image as requested.
        image: String,
        /// The blob.
        digest: Digest,
        /// Bytes stated by the manifest.
        expected: u64,
        /// Bytes received.
        actual: u64,
    },
    /// A registry sends content with another digest than requested.
    #[error("registry {registry} sends content with digest {actual} for {expected} of image {image}")]
    WrongContent {
        /// Host and port.
        registry: String,
        /// The image as requested.
        image: String,
        /// The requested digest.
        expected: Digest,
        /// The received digest.
        actual: Digest,
    },
}

impl Error {
    /// The error code, the `ErrorCode` of a version's status reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Protocol { .. } | Self::Stalled { .. } => {
                "RegistryUnreachable"
            }
            Self::PlainHttp { .. } | Self::NeedsTls { .. } | Self::Untrusted { .. } => "RegistryTlsFailed",
            Self::AccessDenied { .. } | Self::Credentials { .. } => "ImageAccessDenied",
            Self::NotFound { .. } => "ImageNotFound",
            Self::RedirectRefused { .. } => "RegistryRedirectRefused",
            Self::TooSlow { .. } => "PullImageTimeOut",
            Self::ManifestTooLarge { .. } => "ImageTooLarge",
            Self::SizeMismatch { .. } | Self::WrongContent { .. } => "ImageInvalid",
        }
    }

    /// Whether the same request may succeed later without a change of the image or the
    /// configuration.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::TooSlow { .. } | Self::Stalled { .. })
    }

    /// The remedy for a user, as sentences.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "Check the registry's name and port, and that this machine reaches it (DNS, firewall, HTTPS_PROXY)."
            }
            Self::PlainHttp { .. } => {
                "If it is meant to be unencrypted, say so with `sampan registry add HOST --plain-http` or \
                 plain_http = true under [registries.\"HOST\"]."
            }
            Self::NeedsTls { .. } => {
                "Remove plain_http from [registries.\"HOST\"] and the registry from insecure_registries of \
                 [image]; for one on a loopback address name its authority with `sampan registry add HOST --ca \
                 FILE`."
            }
            Self::Untrusted { .. } => {
                "Name its certificate authority with `sampan registry add HOST --ca FILE`, and check the host \
                 name and the clock."
            }
            Self::AccessDenied { provider: None, .. } => {
                "Log in with `sampan registry add HOST --username USER --password-stdin` or `docker login`, \
                 check the name, and that the repository exists."
            }
            Self::AccessDenied { .. } => {
                "Check user and password, and that they may pull from this repository; `sampan registry test \
                 IMAGE` asks again."
            }
            Self::NotFound { .. } => "Check repository and tag, and that the image has been pushed.",
            Self::Refused { .. } | Self::Stalled { .. } => {
                "Try again later; if it stays, ask the operator of the registry."
            }
            Self::TooSlow { .. } => {
                "Use a nearer registry or a mirror of it, or lower transfer_bytes_per_s_min of [image]."
            }
            Self::Protocol { .. } => {
                "Check that the address is that of a container registry and that no proxy answers for it."
            }
            Self::RedirectRefused { .. } => {
                "If the registry keeps its content or its token server there, add the address to \
                 redirects_allowed of [image]."
            }
            Self::Credentials { .. } => {
                "Mend what the provider of the credentials says, or log in again with `sampan registry add HOST`."
            }
            Self::SizeMismatch { .. } | Self::WrongContent { .. } => {
                "Push the image again; what the registry or a proxy on the way sends is damaged."
            }
            Self::ManifestTooLarge { .. } => "Use a smaller image, or raise the limit.",
        }
    }

    /// The failed operation, its subject, cause and remedy, in one line.
    pub fn report(&self) -> String {
        format!("{}. {}", types::error_chain(self), self.hint())
    }
}

fn shown(provider: Option<&str>) -> String {
    provider.map_or_else(|| "without credentials".to_owned(), |from| format!("with credentials from {from}"))
}

fn wanted_pause(retry_after_s: Option<u64>) -> String {
    retry_after_s.map(|seconds| format!(", and asks to be asked again in {seconds} s")).unwrap_or_default()
}
