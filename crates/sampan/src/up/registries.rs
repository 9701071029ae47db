//! Which credential a pull gets: a token that we mint for our own registry, else what the machine's docker config has.

use std::net::SocketAddr;
use std::sync::OnceLock;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use image::{Credential, CredentialError, Credentials, DockerConfig};
use registry::Registry;

use crate::push::upload::is_loopback;

/// The credentials of this installation.
pub struct InstallationCredentials {
    /// Set once, when the registry is open: it opens over the content store, which asks for credentials only later.
    own: OnceLock<Registry>,
    own_address: SocketAddr,
    docker: DockerConfig,
}

impl InstallationCredentials {
    /// `own_address` is the control address, under which images of the own registry are named.
    pub fn new(own_address: SocketAddr, docker: DockerConfig) -> Self {
        Self { own: OnceLock::new(), own_address, docker }
    }

    /// Makes the own registry known; a second call changes nothing.
    pub fn set_own(&self, registry: Registry) {
        self.own.get_or_init(|| registry);
    }

    /// Our own registry goes by the control address, and by any name of this machine's loopback with its port.
    fn is_own(&self, registry: &str) -> bool {
        let port = registry.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        registry == self.own_address.to_string() || (is_loopback(registry) && port == Some(self.own_address.port()))
    }
}

impl Credentials for InstallationCredentials {
    fn for_registry(
        &self,
        registry: &str,
        repository: &str,
        registry_id: Option<&str>,
    ) -> BoxFuture<'static, Result<Option<Credential>, CredentialError>> {
        if let Some(own) = self.own.get().filter(|_| self.is_own(registry)) {
            let token = own.mint_pull_token(repository);
            return async move { Ok(Some(Credential::Bearer(token))) }.boxed();
        }
        self.docker.for_registry(registry, repository, registry_id)
    }
}
