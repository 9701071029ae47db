//! Secrets for registries: what they are, and where they come from. Must not know how a registry asks for them.

mod docker_config;

use futures_util::future::BoxFuture;

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

/// Where credentials come from; asked once per image that needs the network.
pub trait Credentials: Send + Sync + 'static {
    /// The credential for pulling `repository` from `registry` (`host[:port]`, `docker.io` for Docker Hub), `None` for
    /// anonymous. `registry_id` names an enterprise registry, `tcr-…`.
    fn for_registry(
        &self,
        registry: &str,
        repository: &str,
        registry_id: Option<&str>,
    ) -> BoxFuture<'static, Result<Option<Credential>, CredentialError>>;
}

/// No credentials for any registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn for_registry(
        &self,
        _registry: &str,
        _repository: &str,
        _registry_id: Option<&str>,
    ) -> BoxFuture<'static, Result<Option<Credential>, CredentialError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
