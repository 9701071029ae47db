//! Creates, changes and deletes custom domains. Reads use the catalog, which contains all of them.

use std::sync::Arc;

use types::{Catalog, CustomDomain, FunctionKey, Qualifier};

use crate::config::Config;
use crate::error::{DomainError, During, Error};
use crate::handle::{Store, now_ms};
use crate::snapshot::Edit;
use crate::sql;
use crate::sql::columns::to_json;
use crate::write::{Write, detached};

impl Store {
    /// Creates a custom domain, with the current time as its times.
    ///
    /// # Errors
    /// [`DomainError::Exists`], [`DomainError::TooMany`], [`DomainError::TooLarge`], and for a
    /// wrong endpoint [`Error::FunctionNotFound`], [`Error::QualifierNotFound`].
    pub async fn create_domain(&self, domain: CustomDomain) -> Result<(), Error> {
        let store = self.clone();
        detached(async move {
            let write = Write::begin(&store).await?;
            let catalog = store.catalog().load_full();
            if catalog.domains.contains_key(&domain.domain) {
                return Err(Error::Domain(DomainError::Exists { domain: domain.domain }));
            }
            let domains_max = store.config().domains_max;
            if catalog.domains.len() >= domains_max as usize {
                return Err(Error::Domain(DomainError::TooMany { domains_max }));
            }
            let now_ms = now_ms();
            let domain = CustomDomain { added_ms: now_ms, modified_ms: now_ms, ..domain };
            put(&store, write, &catalog, domain).await
        })
        .await
    }

    /// Changes a custom domain. `edit` runs under the write lock on the current state; its refusal
    /// is the inner error. Name and creation time do not change.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], and those of [`Store::create_domain`].
    pub async fn change_domain<E: Send + 'static>(
        &self,
        name: &str,
        edit: impl FnOnce(&CustomDomain) -> Result<CustomDomain, E> + Send + 'static,
    ) -> Result<Result<(), E>, Error> {
        let (store, name) = (self.clone(), name.to_owned());
        detached(async move {
            let write = Write::begin(&store).await?;
            let catalog = store.catalog().load_full();
            let Some(old) = catalog.domains.get(&name) else {
                return Err(Error::Domain(DomainError::NotFound { domain: name }));
            };
            let changed = match edit(old) {
                Ok(changed) => changed,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let domain = CustomDomain { domain: name, added_ms: old.added_ms, modified_ms: now_ms(), ..changed };
            put(&store, write, &catalog, domain).await.map(Ok)
        })
        .await
    }

    /// Deletes a custom domain.
    ///
    /// # Errors
    /// [`DomainError::NotFound`].
    pub async fn delete_domain(&self, name: &str) -> Result<(), Error> {
        let (store, domain) = (self.clone(), name.to_owned());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            if !store.catalog().load().domains.contains_key(&domain) {
                return Err(Error::Domain(DomainError::NotFound { domain }));
            }
            sql::domains::delete(write.db(), &domain).await.during("delete domain", &domain)?;
            write.edit(Edit::Domain(domain.clone(), None));
            write.commit("delete domain", &domain).await
        })
        .await
    }
}

/// Writes a domain with a valid name, and commits. `catalog` was loaded under the write lock and
/// therefore equals the database.
async fn put(store: &Store, mut write: Write, catalog: &Catalog, domain: CustomDomain) -> Result<(), Error> {
    check_size(store.config(), &domain)?;
    require_endpoints(catalog, &domain)?;
    sql::domains::put(write.db(), &domain).await.during("write domain", &domain.domain)?;
    let name = domain.domain.clone();
    write.edit(Edit::Domain(name.clone(), Some(Arc::new(domain))));
    write.commit("write domain", &name).await
}

fn check_size(config: &Config, domain: &CustomDomain) -> Result<(), Error> {
    let (bytes, bytes_max) = (to_json(domain).len(), config.domain_bytes_max);
    if bytes > bytes_max {
        return Err(Error::Domain(DomainError::TooLarge { domain: domain.domain.clone(), bytes, bytes_max }));
    }
    Ok(())
}

/// Returns an error for endpoints without a target. Deleting a function later does not change
/// endpoints.
fn require_endpoints(catalog: &Catalog, domain: &CustomDomain) -> Result<(), Error> {
    for endpoint in &domain.endpoints {
        let key = FunctionKey { namespace: endpoint.namespace.clone(), name: endpoint.function.clone() };
        let Some(function) = catalog.functions.get(&key) else { return Err(Error::FunctionNotFound { key }) };
        let there = match &endpoint.qualifier {
            // It is there from the beginning, though it may not be callable yet.
            Qualifier::Version(types::VersionName::Latest) => true,
            Qualifier::Version(version) => function.versions.contains_key(version),
            Qualifier::Alias(name) => function.aliases.contains_key(name),
        };
        if !there {
            return Err(Error::QualifierNotFound { key, qualifier: endpoint.qualifier.clone() });
        }
    }
    Ok(())
}
