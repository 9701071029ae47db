//! Credentials for registries: kinds, expiry, and the trait of their providers.

mod docker_config;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::HostConfig;

pub use self::docker_config::DockerConfig;

/// A secret that a registry accepts. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// A bearer token, sent unchanged.
    Bearer(String),
    /// An OAuth2 refresh token, exchanged at the registry's token server.
    Identity(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Identity(_) => "Identity(…)",
        })
    }
}

/// An error of a configured credential that is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialError {
    /// The failed operation and its subject, without any secret.
    pub message: String,
}

impl CredentialError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A request for a credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialRequest {
    /// `host[:port]`; `docker.io` for Docker Hub.
    pub registry: String,
    /// The repository; empty for a probe of the registry itself.
    pub repository: String,
    /// Names an enterprise registry, `tcr-…`.
    pub registry_id: Option<String>,
    /// Whether the last credential was rejected or has expired: a cached one must not be returned.
    pub renew: bool,
}

/// A credential with its source and expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `None` for anonymous.
    pub credential: Option<Credential>,
    /// Its source, as errors name it: `the login kept by sampan registry add`.
    pub provider: String,
    /// Expiry, if known.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// No credential.
    pub fn anonymous() -> Self {
        Self { credential: None, provider: "nobody".to_owned(), expires_at: None }
    }

    /// A credential without a known expiry.
    pub fn lasting(provider: impl Into<String>, credential: Credential) -> Self {
        Self { credential: Some(credential), provider: provider.into(), expires_at: None }
    }

    /// Source of the credential; `None` for anonymous.
    pub(crate) fn shown_provider(&self) -> Option<String> {
        self.credential.as_ref().map(|_| self.provider.clone())
    }

    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A provider of credentials and host configuration; called when an image needs the network, and
/// again when a credential expires or is refused during the transfer.
pub trait Credentials: Send + Sync + 'static {
    /// The credential for a request. A provider must not cache one beyond its expiry.
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>>;

    /// The configuration of a registry's host (`host[:port]`); the default without a setting.
    fn host_config(&self, _registry: &str) -> HostConfig {
        HostConfig::default()
    }
}

/// No credentials for any registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn for_registry(&self, _request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        Box::pin(std::future::ready(Ok(Grant::anonymous())))
    }
}
