//! The public handle: setting, reading and deleting secrets.

use std::path::Path;
use std::sync::Arc;

use credentials::Sealer;
use store::{NewSecretVersion, SecretUser, Store};
use types::{Namespace, SecretBytes, SecretKey, SecretRecord, SecretRef};

use crate::{Config, Error};

/// The secrets of the installation; clones share state.
#[derive(Clone)]
pub struct Secrets {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    sealer: Sealer,
    config: Config,
}

impl Secrets {
    /// Opens every sealed value once, so that a wrong key fails the start. `database` is for the
    /// error alone.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn open(store: Store, sealer: Sealer, database: &Path, config: Config) -> Result<Self, Error> {
        let secrets = Self { inner: Arc::new(Inner { store, sealer, config }) };
        for record in secrets.records(None) {
            for version in &record.versions {
                if secrets.opened(&record.key, version).is_none() {
                    let (key, version) = (record.key.clone(), version.number);
                    return Err(Error::Sealed { key, version, database: database.to_owned() });
                }
            }
        }
        Ok(secrets)
    }

    /// Gives a secret a value; returns the number of its new version.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::TooLong`], and those of [`Store::set_secret`].
    pub async fn set(&self, key: SecretKey, value: SecretBytes) -> Result<u32, Error> {
        let (bytes, bytes_max) = (value.reveal().len(), self.inner.config.value_bytes_max);
        if bytes == 0 {
            return Err(Error::Empty { key });
        }
        if bytes > bytes_max {
            return Err(Error::TooLong { key, bytes, bytes_max });
        }
        let new = NewSecretVersion { bytes: bytes as u64, is_text: value.text().is_some() };
        let (sealer, of) = (self.inner.sealer.clone(), key.clone());
        let seal = move |number| sealer.seal_bytes(value.reveal(), &bound_to(&of, number));
        let number = self.inner.store.set_secret(key.clone(), new, self.inner.config.limits(), seal).await?;
        tracing::info!(secret = %key, version = number, "a secret was set");
        Ok(number)
    }

    /// Deletes a secret that no function has, or one version of it.
    ///
    /// # Errors
    /// Those of [`Store::delete_secret`].
    pub async fn delete(&self, key: SecretKey, number: Option<u32>) -> Result<(), Error> {
        self.inner.store.delete_secret(key.clone(), number).await?;
        tracing::info!(secret = %key, version = number, "a secret was deleted");
        Ok(())
    }

    /// The secrets of a namespace, or all.
    pub fn records(&self, namespace: Option<&Namespace>) -> Vec<Arc<SecretRecord>> {
        let catalog = self.inner.store.catalog().load_full();
        let is_in = |record: &&Arc<SecretRecord>| namespace.is_none_or(|namespace| record.key.namespace == *namespace);
        catalog.secrets.values().filter(is_in).cloned().collect()
    }

    /// Versions of functions that have secrets.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn users(&self) -> Result<Vec<SecretUser>, Error> {
        Ok(self.inner.store.secret_users().await?)
    }

    /// The value that a reference of a function of `namespace` means now, and its version.
    ///
    /// # Errors
    /// [`store::Error::SecretNotFound`], [`store::Error::SecretVersionNotFound`],
    /// [`Error::Sealed`].
    pub fn value(&self, namespace: &Namespace, reference: &SecretRef) -> Result<(u32, SecretBytes), Error> {
        let key = SecretKey { namespace: namespace.clone(), name: reference.name.clone() };
        let catalog = self.inner.store.catalog().load_full();
        let Some(record) = catalog.secrets.get(&key) else {
            return Err(store::Error::SecretNotFound { key }.into());
        };
        let Some(version) = record.version(reference.version) else {
            let version = reference.version.unwrap_or_default();
            return Err(store::Error::SecretVersionNotFound { key, version }.into());
        };
        match self.opened(&key, version) {
            Some(value) => Ok((version.number, value)),
            None => Err(Error::Sealed { key, version: version.number, database: "the database".into() }),
        }
    }

    fn opened(&self, key: &SecretKey, version: &types::SecretVersion) -> Option<SecretBytes> {
        self.inner.sealer.open_bytes(&version.sealed, &bound_to(key, version.number))
    }
}

/// The associated data of a seal.
fn bound_to(key: &SecretKey, number: u32) -> Vec<u8> {
    format!("sampan secret 1\n{}\n{}\n{number}", key.namespace, key.name).into_bytes()
}
