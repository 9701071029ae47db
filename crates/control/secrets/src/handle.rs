//! The public handle: sets, reads and deletes secrets.

use std::path::Path;
use std::sync::Arc;

use credentials::Sealer;
use store::{NewSecretVersion, SecretUser, Store};
use types::admin::secrets::{AuditAction, AuditEntry};
use types::{
    FunctionKey, InstanceId, Namespace, SecretBytes, SecretKey, SecretName, SecretRecord, SecretRef, VersionName,
};

use crate::audit::Audit;
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
    audit: Audit,
}

/// The reader of a secret, for the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The function.
    pub function: &'a FunctionKey,
    /// Its version.
    pub version: VersionName,
    /// The instance that receives the value.
    pub instance: &'a InstanceId,
}

impl Secrets {
    /// Opens every sealed value once, so that a wrong key fails the start. `database` is a file in
    /// the data directory: errors name it, and the audit log is in its directory.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Audit`].
    pub fn open(store: Store, sealer: Sealer, database: &Path, config: Config) -> Result<Self, Error> {
        let dir = database.parent().unwrap_or(Path::new("."));
        let audit = Audit::open(dir, config.audit_bytes_max, config.audit_waiting_max)?;
        let secrets = Self { inner: Arc::new(Inner { store, sealer, config, audit }) };
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

    /// Sets a new value, on behalf of the key pair `by`; returns the number of the new version.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::TooLong`], and those of [`Store::set_secret`].
    pub async fn set(&self, key: SecretKey, value: SecretBytes, by: &str) -> Result<u32, Error> {
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
        self.note_change(AuditAction::Set, &key, Some(number), by).await;
        Ok(number)
    }

    /// Deletes a secret that no function uses, or one version of it.
    ///
    /// # Errors
    /// Those of [`Store::delete_secret`].
    pub async fn delete(&self, key: SecretKey, number: Option<u32>, by: &str) -> Result<(), Error> {
        self.inner.store.delete_secret(key.clone(), number).await?;
        tracing::info!(secret = %key, version = number, "a secret was deleted");
        self.note_change(AuditAction::Delete, &key, number, by).await;
        Ok(())
    }

    async fn note_change(&self, action: AuditAction, key: &SecretKey, version: Option<u32>, by: &str) {
        let entry = AuditEntry { version, by: Some(by.to_owned()), ..entry(action, key) };
        let audit = self.inner.audit.clone();
        let _ = tokio::task::spawn_blocking(move || audit.note_durably(entry)).await;
    }

    /// Returns the newest `limit` audit entries about one secret, one namespace, or all, oldest
    /// first.
    ///
    /// # Errors
    /// [`Error::Audit`].
    pub async fn audit(
        &self,
        namespace: Option<Namespace>,
        name: Option<SecretName>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, Error> {
        let audit = self.inner.audit.clone();
        let found = tokio::task::spawn_blocking(move || {
            audit.newest(limit, |entry| {
                let all = namespace.is_none() && name.is_none();
                all || (namespace.is_none() || entry.namespace == namespace) && (name.is_none() || entry.name == name)
            })
        });
        found.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Writes all queued audit entries. Blocks.
    pub fn flush(&self) {
        self.inner.audit.flush();
    }

    /// The secrets of a namespace, or of all.
    pub fn records(&self, namespace: Option<&Namespace>) -> Vec<Arc<SecretRecord>> {
        let catalog = self.inner.store.catalog().load_full();
        let is_in = |record: &&Arc<SecretRecord>| namespace.is_none_or(|namespace| record.key.namespace == *namespace);
        catalog.secrets.values().filter(is_in).cloned().collect()
    }

    /// Versions of functions that use secrets.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn users(&self) -> Result<Vec<SecretUser>, Error> {
        Ok(self.inner.store.secret_users().await?)
    }

    /// The current value of a function's reference; records the read in the audit log.
    ///
    /// # Errors
    /// [`store::SecretError::NotFound`], [`store::SecretError::VersionNotFound`],
    /// [`Error::Sealed`].
    pub fn value(&self, reader: Reader<'_>, reference: &SecretRef) -> Result<SecretBytes, Error> {
        let key = SecretKey { namespace: reader.function.namespace.clone(), name: reference.name.clone() };
        let catalog = self.inner.store.catalog().load_full();
        let Some(record) = catalog.secrets.get(&key) else {
            return Err(store::Error::Secret(store::SecretError::NotFound { key }).into());
        };
        let Some(version) = record.version(reference.version) else {
            let version = reference.version.unwrap_or_default();
            return Err(store::Error::Secret(store::SecretError::VersionNotFound { key, version }).into());
        };
        match self.opened(&key, version) {
            Some(value) => {
                self.inner.audit.note(AuditEntry {
                    version: Some(version.number),
                    function: Some(reader.function.to_string()),
                    function_version: Some(reader.version.to_string()),
                    instance: Some(reader.instance.to_string()),
                    ..entry(AuditAction::Read, &key)
                });
                Ok(value)
            }
            None => Err(Error::Sealed { key, version: version.number, database: "the database".into() }),
        }
    }

    fn opened(&self, key: &SecretKey, version: &types::SecretVersion) -> Option<SecretBytes> {
        self.inner.sealer.open_bytes(&version.sealed, &bound_to(key, version.number))
    }
}

fn entry(action: AuditAction, key: &SecretKey) -> AuditEntry {
    let time_ms = jiff::Timestamp::now().as_millisecond();
    let (namespace, name) = (Some(key.namespace.clone()), Some(key.name.clone()));
    AuditEntry { time_ms, namespace, name, ..AuditEntry::new(action) }
}

/// Associated data of a seal.
fn bound_to(key: &SecretKey, number: u32) -> Vec<u8> {
    format!("sampan secret 1\n{}\n{}\n{number}", key.namespace, key.name).into_bytes()
}
