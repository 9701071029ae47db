//! Which credential a pull gets: a token that we mint for our own registry, else what `credentials` finds; and the
//! administration of the latter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use axum::Router;
use credentials::{KeyFile, Registries, RegistrySettings};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use image::{Credential, CredentialError, CredentialRequest, Credentials, Grant, Mirror, Reach};
use registry::Registry;

use super::own_names::OwnNames;

/// Names the file with the key of the registries' secrets.
const KEY_FILE_VARIABLE: &str = "SAMPAN_SECRETS_KEY_FILE";

/// The credentials of this installation.
pub struct InstallationCredentials {
    /// Set once, when the registry is open: it opens over the content store, which asks for credentials only later.
    own: OnceLock<Registry>,
    own_names: OwnNames,
    registries: Registries,
}

impl InstallationCredentials {
    /// Reads what is kept in the data directory.
    pub fn open(
        data_dir: &Path,
        own_names: OwnNames,
        settings: &BTreeMap<String, RegistrySettings>,
        config: credentials::Config,
    ) -> anyhow::Result<Self> {
        let named = std::env::var_os(KEY_FILE_VARIABLE).filter(|path| !path.is_empty());
        let key = named.map_or(KeyFile::Made, |path| KeyFile::Named(PathBuf::from(path)));
        let registries =
            Registries::open(data_dir, &key, settings, config).context("cannot open the registries' credentials")?;
        Ok(Self { own: OnceLock::new(), own_names, registries })
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
}

impl Credentials for InstallationCredentials {
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        if let Some(own) = self.own.get().filter(|_| self.own_names.is_called(&request.registry)) {
            // Minted for each pull, and again when it is over: it is for that repository alone.
            let token = own.mint_pull_token(&request.repository);
            return async move { Ok(Grant::lasting("Sampan's own registry", Credential::Bearer(token))) }.boxed();
        }
        self.registries.for_registry(request)
    }

    fn reach(&self, registry: &str) -> Reach {
        let plain = Reach { plain_http: Some(true), ..Reach::default() };
        if self.own_names.is_current(registry) {
            return plain;
        }
        if !self.own_names.is_own(registry) {
            return self.registries.reach(registry);
        }
        // By a name of before, or by one that only others can call it by.
        let here = Mirror { plain_http: true, host: self.own_names.current(), prefix: String::new() };
        Reach { mirrors: vec![here], ..plain }
    }
}
