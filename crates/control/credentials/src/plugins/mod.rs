//! Credential plugins of the kubelet's exec protocol, so that those of ECR, GCR and ACR work
//! unchanged (Kubernetes, "Configure a kubelet image credential provider"; the kubelet's packages
//! `credentialprovider` and `credentialprovider/plugin`): selection by image, execution, and a
//! cache of responses.
//!
//! Two differences from the kubelet: a plugin that fails makes the pull fail with its error unless
//! another one has a credential, where the kubelet pulls without credentials; and `tokenAttributes`
//! is refused, because there are no service accounts.

mod duration;
mod matching;
mod protocol;
mod run;
mod settings;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use registry_client::{Credential, CredentialError, CredentialRequest, Grant};

pub use self::settings::PluginsError;

use self::protocol::{Auths, CacheKeyType, Response};
use self::settings::Provider;
use crate::Config;
use crate::cache::Cache;
use crate::key_lock::KeyLocks;

/// All plugins of the configuration, in its order.
pub(crate) struct Plugins {
    providers: Vec<Provider>,
    limits: run::Limits,
    cached: Mutex<Cache<Key, Arc<Auths>>>,
    locks: KeyLocks,
}

/// Key of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    plugin: String,
    scope: Scope,
}

/// Scope of a cached response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scope {
    Image(String),
    Registry(String),
    Global,
}

impl Plugins {
    /// Reads the configuration without running a plugin.
    pub(crate) fn load(path: &Path, bin_dir: Option<&Path>, config: &Config) -> Result<Self, PluginsError> {
        let bin_dir = bin_dir.ok_or(PluginsError::NoFolder)?;
        Ok(Self::new(settings::load(path, bin_dir)?, config))
    }

    /// Without any plugin.
    pub(crate) fn none(config: &Config) -> Self {
        Self::new(Vec::new(), config)
    }

    fn new(providers: Vec<Provider>, config: &Config) -> Self {
        let limits = run::Limits {
            timeout: config.plugin_timeout(),
            answer_bytes_max: config.plugin_answer_bytes_max,
            stderr_bytes_max: config.plugin_stderr_bytes_max,
        };
        let cached = Mutex::new(Cache::new(config.cached_max, config.expiry_margin()));
        Self { providers, limits, cached, locks: KeyLocks::default() }
    }

    /// The credential of the first matching plugin that has one; `None` if none matches. A failure
    /// is returned if no other plugin has a credential.
    pub(crate) async fn find(&self, request: &CredentialRequest) -> Result<Option<Grant>, CredentialError> {
        let image = image_of(request);
        let mut failure = None;
        for provider in self.providers.iter().filter(|provider| provider.knows(&image)) {
            match self.call(provider, &image, request.renew).await {
                Ok(Some(grant)) => return Ok(Some(grant)),
                Ok(None) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    async fn call(&self, provider: &Provider, image: &str, renew: bool) -> Result<Option<Grant>, CredentialError> {
        let plugin = &provider.name;
        let _guard = self.locks.lock(&format!("{plugin} {image}")).await;
        if renew {
            self.forget(plugin, image);
        } else if let Some((auths, until)) = self.recall(plugin, image) {
            return Ok(grant(plugin, &auths, image, Some(until)));
        }
        let response = run::run(provider, image, &self.limits).await?;
        let Response { cache_key_type, cache_duration, auth } = response;
        let now = Timestamp::now();
        let life = cache_duration.unwrap_or(provider.default_cache_duration);
        let until = (!life.is_zero()).then(|| now.saturating_add(life).unwrap_or(Timestamp::MAX));
        let auths = Arc::new(auth);
        if let Some(until) = until {
            let key = Key { plugin: plugin.clone(), scope: scope(cache_key_type, image) };
            self.cached.lock().put(key, auths.clone(), until, now);
        }
        Ok(grant(plugin, &auths, image, until))
    }

    fn keys<'a>(plugin: &'a str, image: &'a str) -> impl Iterator<Item = Key> + 'a {
        let kinds = [CacheKeyType::Image, CacheKeyType::Registry, CacheKeyType::Global];
        kinds.into_iter().map(move |kind| Key { plugin: plugin.to_owned(), scope: scope(kind, image) })
    }

    fn recall(&self, plugin: &str, image: &str) -> Option<(Arc<Auths>, Timestamp)> {
        let (cached, now) = (self.cached.lock(), Timestamp::now());
        Self::keys(plugin, image).find_map(|key| cached.get_until(&key, now))
    }

    fn forget(&self, plugin: &str, image: &str) {
        let mut cached = self.cached.lock();
        Self::keys(plugin, image).for_each(|key| cached.remove(&key));
    }
}

/// The image as the kubelet names it to plugins: without tag and digest.
fn image_of(request: &CredentialRequest) -> String {
    match request.repository.as_str() {
        "" => request.registry.clone(),
        repository => format!("{}/{repository}", request.registry),
    }
}

fn scope(kind: CacheKeyType, image: &str) -> Scope {
    match kind {
        CacheKeyType::Image => Scope::Image(image.to_owned()),
        CacheKeyType::Registry => Scope::Registry(image.split('/').next().unwrap_or_default().to_owned()),
        CacheKeyType::Global => Scope::Global,
    }
}

fn grant(plugin: &str, auths: &Auths, image: &str, expires_at: Option<Timestamp>) -> Option<Grant> {
    let auth = matching::choose(auths, image)?;
    let (user, password) = (auth.username.clone(), auth.password.reveal().to_owned());
    let credential = Some(Credential::Basic { user, password });
    Some(Grant { credential, provider: format!("the credential plugin {plugin}"), expires_at })
}
