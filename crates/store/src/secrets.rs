//! Sets and deletes secrets, whose values are sealed by the caller. Reads use the catalog, which
//! contains all of them.

use std::sync::Arc;

use types::{
    Catalog, FunctionKey, Namespace, SecretKey, SecretRecord, SecretUse, SecretVersion, VersionName, VersionSpec,
    secret_use,
};

use crate::error::{During, Error, SecretError};
use crate::find::require_namespace;
use crate::handle::{Store, now_ms};
use crate::snapshot::Edit;
use crate::sql;
use crate::write::{Write, detached};

/// Limits of secrets.
#[derive(Debug, Clone, Copy)]
pub struct SecretLimits {
    /// Secrets of the installation.
    pub secrets_max: usize,
    /// Versions of one secret.
    pub versions_max: usize,
    /// Bytes of all values together.
    pub bytes_max: u64,
}

/// Properties of a new value that the store needs; the value itself is sealed.
#[derive(Debug, Clone, Copy)]
pub struct NewSecretVersion {
    /// Bytes of the value.
    pub bytes: u64,
    /// Whether it can be the value of an environment variable.
    pub is_text: bool,
}

/// A version of a function that uses a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUser {
    /// The function.
    pub function: FunctionKey,
    /// Its version.
    pub version: VersionName,
    /// The secret and how it is used.
    pub uses: SecretUse,
}

impl SecretUser {
    /// Whether it uses this secret.
    pub fn has(&self, key: &SecretKey) -> bool {
        self.function.namespace == key.namespace && self.uses.secret.name == key.name
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.function, self.version)
    }
}

impl Store {
    /// Adds the next version of a secret, and creates the secret if it does not exist. `seal`
    /// returns the sealed value for the version's number. At the limit of versions, removes the
    /// oldest one to which nothing is pinned.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`SecretError::TooMany`], [`SecretError::TooLarge`],
    /// [`SecretError::VersionsPinned`], and [`SecretError::NotText`] if a variable follows the
    /// newest version.
    pub async fn set_secret(
        &self,
        key: SecretKey,
        new: NewSecretVersion,
        limits: SecretLimits,
        seal: impl FnOnce(u32) -> Vec<u8> + Send + 'static,
    ) -> Result<u32, Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            require_namespace(write.db(), &key.namespace).await?;
            // The write lock is held, so the snapshot equals the database.
            let catalog = store.catalog().load_full();
            let old = catalog.secrets.get(&key);
            let mut versions = old.map(|old| old.versions.clone()).unwrap_or_default();
            if old.is_none() && catalog.secrets.len() >= limits.secrets_max {
                return Err(Error::Secret(SecretError::TooMany { secrets_max: limits.secrets_max }));
            }
            if !new.is_text {
                refuse_in_variables(&mut write, &key).await?;
            }
            let operation = "set secret";
            if versions.len() >= limits.versions_max {
                let oldest = oldest_unpinned(&mut write, &key, &versions, limits.versions_max).await?;
                sql::secrets::delete_version(write.db(), &key, oldest).await.during(operation, &key)?;
                versions.retain(|version| version.number != oldest);
            }
            let others = catalog.secrets.values().filter(|other| other.key != key).flat_map(|other| &other.versions);
            let there: u64 = others.chain(&versions).map(|version| version.bytes).sum();
            if there + new.bytes > limits.bytes_max {
                return Err(Error::Secret(SecretError::TooLarge { key, bytes_max: limits.bytes_max }));
            }
            let now_ms = now_ms();
            let number = sql::secrets::next_version(write.db(), &key, now_ms).await.during(operation, &key)?;
            let NewSecretVersion { bytes, is_text } = new;
            let version = SecretVersion { number, sealed: seal(number).into(), bytes, is_text, added_ms: now_ms };
            sql::secrets::insert_version(write.db(), &key, &version).await.during(operation, &key)?;
            versions.push(version);
            let added_ms = old.map_or(now_ms, |old| old.added_ms);
            let record = SecretRecord { key: key.clone(), versions, added_ms };
            write.edit(Edit::Secret(key.clone(), Some(Arc::new(record))));
            write.commit(operation, &key.to_string()).await?;
            Ok(number)
        })
        .await
    }

    /// Deletes a secret, or one version of it; deleting the last version deletes the secret.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::VersionNotFound`], and [`SecretError::InUse`]
    /// while a version of a function uses it.
    pub async fn delete_secret(&self, key: SecretKey, number: Option<u32>) -> Result<(), Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let catalog = store.catalog().load_full();
            let Some(old) = catalog.secrets.get(&key) else { return Err(Error::Secret(SecretError::NotFound { key })) };
            let newest = old.versions.last().map(|version| version.number);
            if let Some(number) = number
                && old.version(Some(number)).is_none()
            {
                return Err(Error::Secret(SecretError::VersionNotFound { key, version: number }));
            }
            let users = users(&mut write, &key).await?;
            let needs = |user: &&SecretUser| number.is_none() || user.uses.secret.version.or(newest) == number;
            let users: Vec<String> = users.iter().filter(needs).map(SecretUser::shown).collect();
            if !users.is_empty() {
                return Err(Error::Secret(SecretError::InUse { key, users }));
            }
            let operation = "delete secret";
            let versions = old.versions.iter().filter(|version| number.is_some_and(|number| version.number != number));
            let left = SecretRecord { versions: versions.cloned().collect(), ..SecretRecord::clone(old) };
            match number.filter(|_| !left.versions.is_empty()) {
                Some(number) => sql::secrets::delete_version(write.db(), &key, number).await,
                None => sql::secrets::delete(write.db(), &key).await,
            }
            .during(operation, &key)?;
            write.edit(Edit::Secret(key.clone(), (!left.versions.is_empty()).then(|| Arc::new(left))));
            write.commit(operation, &key.to_string()).await
        })
        .await
    }

    /// Versions of functions that use secrets, one entry for each use.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn secret_users(&self) -> Result<Vec<SecretUser>, Error> {
        let mut read = self.database().read().await?;
        let specs = sql::secrets::specs(&mut read, None).await.during("read users of", "secrets")?;
        Ok(uses(specs))
    }
}

fn uses(specs: Vec<(FunctionKey, VersionName, VersionSpec)>) -> Vec<SecretUser> {
    let mut users: Vec<SecretUser> = Vec::new();
    for (function, version, spec) in specs {
        for uses in secret_use::of_version(&spec) {
            let user = SecretUser { function: function.clone(), version, uses };
            // The desired and the serving state usually have the same uses.
            if !users.contains(&user) {
                users.push(user);
            }
        }
    }
    users
}

async fn users(write: &mut Write, key: &SecretKey) -> Result<Vec<SecretUser>, Error> {
    let specs = sql::secrets::specs(write.db(), Some(&key.namespace)).await.during("read users of secret", key)?;
    Ok(uses(specs).into_iter().filter(|user| user.has(key)).collect())
}

async fn refuse_in_variables(write: &mut Write, key: &SecretKey) -> Result<(), Error> {
    let users = users(write, key).await?;
    let follows = |user: &&SecretUser| user.uses.in_variable && user.uses.secret.version.is_none();
    match users.iter().find(follows) {
        Some(user) => Err(Error::Secret(SecretError::NotText { key: key.clone(), of: user.shown() })),
        None => Ok(()),
    }
}

/// The oldest version to which nothing is pinned.
async fn oldest_unpinned(
    write: &mut Write,
    key: &SecretKey,
    versions: &[SecretVersion],
    versions_max: usize,
) -> Result<u32, Error> {
    let users = users(write, key).await?;
    let is_pinned = |number| users.iter().any(|user| user.uses.secret.version == Some(number));
    let unpinned = versions.iter().map(|version| version.number).find(|number| !is_pinned(*number));
    unpinned.ok_or_else(|| Error::Secret(SecretError::VersionsPinned { key: key.clone(), versions_max }))
}

/// Returns an error for a configuration that names a missing secret, or a secret in a variable
/// whose value is not text.
pub(crate) fn require(catalog: &Catalog, function: &FunctionKey, spec: &VersionSpec) -> Result<(), Error> {
    for SecretUse { secret, in_variable } in secret_use::of_version(spec) {
        let key = SecretKey { namespace: function.namespace.clone(), name: secret.name.clone() };
        let Some(record) = catalog.secrets.get(&key) else { return Err(Error::Secret(SecretError::NotFound { key })) };
        match (record.version(secret.version), secret.version) {
            (None, version) => {
                return Err(Error::Secret(SecretError::VersionNotFound { key, version: version.unwrap_or_default() }));
            }
            (Some(version), _) if in_variable && !version.is_text => {
                return Err(Error::Secret(SecretError::NotText { key, of: function.to_string() }));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Number of secrets of a namespace.
pub(crate) fn count_in(catalog: &Catalog, namespace: &Namespace) -> u64 {
    catalog.secrets.keys().filter(|key| key.namespace == *namespace).count() as u64
}
