//! Secrets for registries: what they are, how long they count, and where they come from.

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
    /// A token that is sent as it is.
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

/// Why a credential cannot be had though one is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialError {
    /// What failed and on what, without any secret.
    pub message: String,
}

impl CredentialError {
    /// An error of these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What a credential is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialRequest {
    /// `host[:port]`; `docker.io` for Docker Hub.
    pub registry: String,
    /// The repository that is pulled; empty when the registry itself is asked whether it is there.
    pub repository: String,
    /// Names an enterprise registry, `tcr-…`.
    pub registry_id: Option<String>,
    /// Whether the last answer was refused or is over: nothing that was kept in memory will do.
    pub renew: bool,
}

/// The answer: what to show to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `None` for anonymous.
    pub credential: Option<Credential>,
    /// Who gave it, as errors name it: `the login kept by sampan registry add`.
    pub provider: String,
    /// From when on it no longer counts, where that is known.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// No credential.
    pub fn anonymous() -> Self {
        Self { credential: None, provider: "nobody".to_owned(), expires_at: None }
    }

    /// A credential that lasts as long as the registry accepts it.
    pub fn lasting(provider: impl Into<String>, credential: Credential) -> Self {
        Self { credential: Some(credential), provider: provider.into(), expires_at: None }
    }

    /// Who gave the credential; `None` when there is none to be refused.
    pub(crate) fn shown_provider(&self) -> Option<String> {
        self.credential.as_ref().map(|_| self.provider.clone())
    }

    /// Whether it no longer counts.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Where credentials come from, and how registries are reached; asked when an image needs the
/// network, and again when what was answered is over or refused while the image comes.
pub trait Credentials: Send + Sync + 'static {
    /// The credential for a pull. A provider that keeps answers keeps none longer than the answer
    /// says.
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>>;

    /// How a registry (`host[:port]`) is reached; as any other unless something is set for it.
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
