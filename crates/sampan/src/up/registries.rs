//! Which credential a pull gets: a token that we mint for our own registry, else what `credentials` finds; and the
//! administration of the latter.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use axum::Router;
use credentials::{KeyFile, Registries, RegistrySettings};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use image::{Credential, CredentialError, CredentialRequest, Credentials, Grant, Reach};
use registry::Registry;

use crate::push::upload::is_loopback;

/// Names the file with the key of the registries' secrets.
const KEY_FILE_VARIABLE: &str = "SAMPAN_SECRETS_KEY_FILE";

/// The credentials of this installation.
pub struct InstallationCredentials {
    /// Set once, when the registry is open: it opens over the content store, which asks for credentials only later.
    own: OnceLock<Registry>,
    own_address: SocketAddr,
    registries: Registries,
}

impl InstallationCredentials {
    /// Reads what is kept in the data directory. `own_address` is the control address, under which images of the own
    /// registry are named.
    pub fn open(
        data_dir: &Path,
        own_address: SocketAddr,
        settings: &BTreeMap<String, RegistrySettings>,
        config: credentials::Config,
    ) -> anyhow::Result<Self> {
        let named = std::env::var_os(KEY_FILE_VARIABLE).filter(|path| !path.is_empty());
        let key = named.map_or(KeyFile::Made, |path| KeyFile::Named(PathBuf::from(path)));
        let registries =
            Registries::open(data_dir, &key, settings, config).context("cannot open the registries' credentials")?;
        Ok(Self { own: OnceLock::new(), own_address, registries })
    }

    /// Makes the own registry known; a second call changes nothing.
    pub fn set_own(&self, registry: Registry) {
        self.own.get_or_init(|| registry);
    }

    /// The administrative endpoint, for whoever signs with `secrets`.
    pub fn administration(
        self: &Arc<Self>,
        secrets: signature::Secrets,
        clock_window_s: u64,
        image: image::Config,
    ) -> Router {
        credentials::admin::router(self.registries.clone(), secrets, clock_window_s, self.clone(), image)
    }

    /// Our own registry goes by the control address, and by any name of this machine's loopback with its port.
    fn is_own(&self, registry: &str) -> bool {
        let port = registry.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        registry == self.own_address.to_string() || (is_loopback(registry) && port == Some(self.own_address.port()))
    }
}

impl Credentials for InstallationCredentials {
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        if let Some(own) = self.own.get().filter(|_| self.is_own(&request.registry)) {
            // Minted for each pull, and again when it is over: it is for that repository alone.
            let token = own.mint_pull_token(&request.repository);
            return async move { Ok(Grant::lasting("Sampan's own registry", Credential::Bearer(token))) }.boxed();
        }
        self.registries.for_registry(request)
    }

    fn reach(&self, registry: &str) -> Reach {
        if self.is_own(registry) { Reach::default() } else { self.registries.reach(registry) }
    }
}
