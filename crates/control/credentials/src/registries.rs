//! The public handle: settings of registries from the configuration file and from `sampan registry
//! add`, changed while the platform runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use registry_client::{DockerConfig, HostConfig, Mirror};
use reqwest::Certificate;
use types::admin::registries::{Addition, Listed, ListedLogin, NewLogin};

use crate::plugins::Plugins;
use crate::sealed_store::{Entry, KeyFile, Login, SealedStore, TcrLogin};
use crate::tcr::{self, Tcr};
use crate::{Config, Error, RegistrySettings, Sealer, host};

/// All registries of the installation; clones share state.
#[derive(Clone)]
pub struct Registries {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: Config,
    /// From the configuration file, by host.
    configured: BTreeMap<String, Configured>,
    /// From `sampan registry add`, by host; replaced whole.
    added: RwLock<Arc<BTreeMap<String, Entry>>>,
    /// Locked while the file is changed.
    store: Mutex<SealedStore>,
    pub tcr: Tcr,
    pub plugins: Plugins,
    pub docker: DockerConfig,
}

/// Checked settings of a host from the configuration file.
#[derive(Debug, Clone, Default)]
struct Configured {
    mirrors: Vec<Mirror>,
    ca_pem: Option<Arc<str>>,
    plain_http: Option<bool>,
}

impl Registries {
    /// Reads the sealed store in the data directory, the certificate authorities in the
    /// configuration, and the configuration of plugins. The key is not generated if `others`,
    /// another file, has secrets sealed with an earlier key. Blocks.
    ///
    /// # Errors
    /// Any error, so that a broken setting fails the start instead of a later pull.
    pub fn open(
        data_dir: &Path,
        key: &KeyFile,
        settings: &BTreeMap<String, RegistrySettings>,
        config: Config,
        others: Option<&Path>,
    ) -> Result<Self, Error> {
        tcr::endpoint_url(&config.tcr_endpoint)
            .map_err(|reason| Error::invalid("(tcr_endpoint of [credentials])", reason))?;
        let configured = settings.iter().map(|(name, settings)| configured(name, settings, &config));
        let configured = configured.collect::<Result<_, Error>>()?;
        let (store, added) = SealedStore::open(data_dir, key, others)?;
        let plugins = match &config.plugins_config {
            None => Plugins::none(&config),
            Some(path) => Plugins::load(path, config.plugins_dir.as_deref(), &config)
                .map_err(|source| Error::Plugins { path: path.clone(), source })?,
        };
        let docker = DockerConfig::from_environment(config.docker_helper_timeout());
        let (added, store, tcr) = (RwLock::new(Arc::new(added)), Mutex::new(store), Tcr::new(config.clone()));
        Ok(Self { inner: Arc::new(Inner { config, configured, added, store, tcr, plugins, docker }) })
    }

    /// The sealer with the installation's key.
    pub fn sealer(&self) -> Sealer {
        self.inner.store.lock().sealer()
    }

    /// Merges an addition into the entry of its host; effective and on disk when this returns.
    ///
    /// # Errors
    /// `Invalid`; `Io` when the file cannot be written, with nothing changed.
    pub async fn add(&self, addition: Addition) -> Result<(), Error> {
        let host = known_host(&addition.host)?;
        check(&host, &addition, &self.inner.config)?;
        let registries_max = self.inner.config.registries_max;
        self.change(move |added| {
            if !added.contains_key(&host) && added.len() >= registries_max {
                let reason = format!("{registries_max} are added, the limit (registries_max of [credentials])");
                return Err(Error::invalid(&host, reason));
            }
            apply(added.entry(host).or_default(), addition);
            Ok(())
        })
        .await
    }

    /// Removes the entry of a host; effective and on disk when this returns.
    ///
    /// # Errors
    /// `Unknown`; `Io` when the file cannot be written, with nothing changed.
    pub async fn remove(&self, host: &str) -> Result<(), Error> {
        let host = known_host(host)?;
        self.change(move |added| added.remove(&host).map(drop).ok_or(Error::Unknown { host })).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Entry>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let inner = self.inner.clone();
        let work = tokio::task::spawn_blocking(move || {
            let store = inner.store.lock();
            let mut added = inner.added().as_ref().clone();
            change(&mut added)?;
            store.write(&added)?;
            *inner.added.write() = Arc::new(added);
            inner.tcr.forget();
            Ok(())
        });
        work.await.map_err(|_| Error::Interrupted { operation: "changing the registries" })?
    }

    /// All registries with settings, by host.
    pub fn list(&self) -> Vec<Listed> {
        let added = self.inner.added();
        let mut hosts: Vec<&String> = self.inner.configured.keys().chain(added.keys()).collect();
        hosts.sort();
        hosts.dedup();
        hosts.into_iter().map(|host| self.inner.listed(host, added.get(host))).collect()
    }
}

impl Inner {
    fn added(&self) -> Arc<BTreeMap<String, Entry>> {
        self.added.read().clone()
    }

    /// The stored login of a host.
    pub(crate) fn login(&self, host: &str) -> Option<Login> {
        self.added().get(host).and_then(|entry| entry.login.clone())
    }

    /// Whether a host has settings.
    pub(crate) fn is_known(&self, host: &str) -> bool {
        self.configured.contains_key(host) || self.added().contains_key(host)
    }

    /// How to reach a host: an added entry outranks the configuration file.
    pub(crate) fn host_config(&self, host: &str) -> HostConfig {
        let configured = self.configured.get(host).cloned().unwrap_or_default();
        let added = self.added();
        let entry = added.get(host);
        let mirrors = entry.and_then(|entry| entry.mirrors.as_ref());
        // Mirrors were checked when they were added.
        let mirrors = mirrors.map(|mirrors| mirrors.iter().filter_map(|mirror| mirror.parse().ok()).collect());
        HostConfig {
            mirrors: mirrors.unwrap_or(configured.mirrors),
            ca_pem: entry.and_then(|entry| entry.ca_pem.as_deref().map(Arc::from)).or(configured.ca_pem),
            plain_http: entry.and_then(|entry| entry.plain_http).or(configured.plain_http),
        }
    }

    fn listed(&self, host: &str, entry: Option<&Entry>) -> Listed {
        let host_config = self.host_config(host);
        let login = entry.and_then(|entry| entry.login.as_ref()).map(|login| match login {
            Login::Password { username, .. } => ListedLogin::Password { username: username.clone() },
            Login::Tcr(TcrLogin { registry_id, secret_id, .. }) => {
                ListedLogin::Tcr { registry_id: registry_id.clone(), secret_id: secret_id.clone() }
            }
        });
        Listed {
            host: host.to_owned(),
            login,
            mirrors: host_config.mirrors.iter().map(ToString::to_string).collect(),
            ca: host_config.ca_pem.is_some(),
            plain_http: host_config.plain_http,
            configured: self.configured.contains_key(host),
            added: entry.is_some(),
        }
    }
}

fn known_host(text: &str) -> Result<String, Error> {
    let reason = "it is not a host with an optional port, as in image references";
    host::normal(text).ok_or_else(|| Error::invalid(text, reason))
}

fn configured(name: &str, settings: &RegistrySettings, config: &Config) -> Result<(String, Configured), Error> {
    let host = known_host(name)?;
    let mirrors = mirrors(&host, &settings.mirrors, config)?;
    let ca_pem = settings.ca_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::Io { operation: "read", path: path.clone(), source })?;
        check_ca(&host, &text, config)?;
        Ok(Arc::from(text))
    });
    let ca_pem = ca_pem.transpose()?;
    Ok((host, Configured { mirrors, ca_pem, plain_http: settings.plain_http }))
}

fn mirrors(host: &str, texts: &[String], config: &Config) -> Result<Vec<Mirror>, Error> {
    if texts.len() > config.mirrors_max {
        let reason =
            format!("{} mirrors are more than mirrors_max of [credentials], {}", texts.len(), config.mirrors_max);
        return Err(Error::invalid(host, reason));
    }
    let read = |text: &String| {
        text.parse().map_err(|error: registry_client::InvalidMirror| Error::invalid(host, error.to_string()))
    };
    texts.iter().map(read).collect()
}

fn check_ca(host: &str, pem: &str, config: &Config) -> Result<(), Error> {
    if pem.len() > config.ca_bytes_max {
        let reason = format!("its authorities are longer than ca_bytes_max of [credentials], {}", config.ca_bytes_max);
        return Err(Error::invalid(host, reason));
    }
    match Certificate::from_pem_bundle(pem.as_bytes()) {
        Ok(found) if !found.is_empty() => Ok(()),
        _ => Err(Error::invalid(host, "its authorities are not certificates in PEM (-----BEGIN CERTIFICATE-----)")),
    }
}

fn check(host: &str, addition: &Addition, config: &Config) -> Result<(), Error> {
    mirrors(host, &addition.mirrors, config)?;
    if let Some(pem) = &addition.ca_pem {
        check_ca(host, pem, config)?;
    }
    match &addition.login {
        None => Ok(()),
        Some(NewLogin::Password { username, password }) => {
            check_text(host, "user name", username, config)?;
            check_text(host, "password", password.reveal(), config)
        }
        Some(NewLogin::Tcr { registry_id, secret_id, secret_key, region, endpoint }) => {
            check_text(host, "secret id", secret_id, config)?;
            check_text(host, "secret key", secret_key.reveal(), config)?;
            check_text(host, "region", region.as_deref().unwrap_or("-"), config)?;
            if !registry_id.starts_with("tcr-") || registry_id.len() > 100 {
                return Err(Error::invalid(host, "the id of an enterprise registry is tcr-…"));
            }
            let endpoint = endpoint.as_ref().map(|endpoint| tcr::endpoint_url(endpoint)).transpose();
            endpoint.map(drop).map_err(|reason| Error::invalid(host, reason))
        }
    }
}

fn check_text(host: &str, what: &str, text: &str, config: &Config) -> Result<(), Error> {
    if text.is_empty() || text.len() > config.secret_bytes_max || text.contains(char::is_control) {
        let reason =
            format!("the {what} is empty, has control characters, or is longer than {} bytes", config.secret_bytes_max);
        return Err(Error::invalid(host, reason));
    }
    Ok(())
}

fn apply(entry: &mut Entry, addition: Addition) {
    if !addition.mirrors.is_empty() {
        entry.mirrors = Some(addition.mirrors);
    }
    entry.ca_pem = addition.ca_pem.or(entry.ca_pem.take());
    entry.plain_http = addition.plain_http.or(entry.plain_http);
    let login = addition.login.map(|login| match login {
        NewLogin::Password { username, password } => Login::Password { username, password },
        NewLogin::Tcr { registry_id, secret_id, secret_key, region, endpoint } => {
            Login::Tcr(TcrLogin { registry_id, secret_id, secret_key, region, endpoint })
        }
    });
    entry.login = login.or(entry.login.take());
}
