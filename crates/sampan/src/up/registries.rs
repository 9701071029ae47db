//! Credentials of pulls (a token for the platform's own registry, or a login from the crate
//! `credentials`) and their administration.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use credentials::{Administration, KeyFile, Registries, RegistrySettings};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use registry::Registry;
use registry_client::{Credential, CredentialError, CredentialRequest, Credentials, Grant, HostConfig, Mirror};

use super::own_names::OwnNames;

/// Credentials of this installation.
pub struct InstallationCredentials {
    /// Set once the registry is open. The registry needs the content store, which gets these
    /// credentials when it is opened and uses them later.
    own: OnceLock<Registry>,
    own_names: OwnNames,
    registries: Registries,
}

impl InstallationCredentials {
    /// Opens the sealed store in the data directory. `key` is its key; `others` is a file with
    /// further values sealed by it.
    pub fn open(
        data_dir: &Path,
        own_names: OwnNames,
        settings: &BTreeMap<String, RegistrySettings>,
        config: credentials::Config,
        (key, others): (&KeyFile, Option<&Path>),
    ) -> anyhow::Result<Self> {
        let registries = Registries::open(data_dir, key, settings, config, others)
            .context("cannot open the registries' credentials")?;
        Ok(Self { own: OnceLock::new(), own_names, registries })
    }

    /// Sealer with the installation's key.
    pub fn sealer(&self) -> credentials::Sealer {
        self.registries.sealer()
    }

    /// Sets the platform's registry; a second call has no effect.
    pub fn set_own(&self, registry: Registry) {
        self.own.get_or_init(|| registry);
    }

    /// Administration of registries; login tests use the limits of `client`.
    pub fn administration(self: &Arc<Self>, client: registry_client::Config) -> api::registries_admin::Run {
        let administration = Arc::new(Administration::new(self.registries.clone(), self.clone(), client));
        Arc::new(move |command| {
            let administration = Arc::clone(&administration);
            async move { administration.run(command).await }.boxed()
        })
    }
}

impl Credentials for InstallationCredentials {
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        if let Some(own) = self.own.get().filter(|_| self.own_names.is_called(&request.registry)) {
            // A new token per pull, for that repository only.
            let token = own.mint_pull_token(&request.repository);
            return async move { Ok(Grant::lasting("Sampan's own registry", Credential::Bearer(token))) }.boxed();
        }
        self.registries.for_registry(request)
    }

    fn host_config(&self, registry: &str) -> HostConfig {
        let plain = HostConfig { plain_http: Some(true), ..HostConfig::default() };
        if self.own_names.is_current(registry) {
            return plain;
        }
        if !self.own_names.is_own(registry) {
            return self.registries.host_config(registry);
        }
        // A former name of the registry, or one that only other machines can reach.
        let here = Mirror { plain_http: true, host: self.own_names.current(), prefix: String::new() };
        HostConfig { mirrors: vec![here], ..plain }
    }
}
