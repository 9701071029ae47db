//! Creates, changes and deletes aliases. A route changes with one snapshot: each call uses either
//! the old route or the new one.

use types::{AliasRecord, FunctionKey, Qualifier, Route};

use crate::error::{During, Error};
use crate::find::find_function;
use crate::handle::{Store, now_ms};
use crate::record::{AliasChange, FunctionWithVersions, NewAlias};
use crate::sql;
use crate::write::{Write, detached};

impl Store {
    /// Creates an alias.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::AliasExists`],
    /// [`Error::VersionNotFound`], [`Error::TooManyAliases`], and [`Error::WrongStatus`] when the
    /// function is being deleted.
    pub async fn create_alias(&self, new: NewAlias) -> Result<AliasRecord, Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let NewAlias { key, name, route, description } = new;
            let function = find_function(&mut write, &key).await?;
            if function.aliases.contains_key(name.as_str()) {
                return Err(Error::AliasExists { key, name });
            }
            require_versions(&function, &key, &route)?;
            let aliases_max = store.config().aliases_per_function_max;
            if function.aliases.len() >= aliases_max as usize {
                return Err(Error::TooManyAliases { key, aliases_max });
            }
            let now_ms = now_ms();
            let function_id = function.record.id;
            let alias = AliasRecord { function_id, name, route, description, added_ms: now_ms, modified_ms: now_ms };
            sql::aliases::insert(write.db(), &alias).await.during("make an alias of", &key)?;
            write.refresh(&alias.function_id).await?;
            write.commit("make an alias of", &key.to_string()).await?;
            Ok(alias)
        })
        .await
    }

    /// Changes the route of an alias, and its description if one is given.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::AliasNotFound`],
    /// [`Error::VersionNotFound`], and [`Error::WrongStatus`] when the function is being deleted.
    pub async fn update_alias(&self, key: &FunctionKey, name: &str, change: AliasChange) -> Result<AliasRecord, Error> {
        let (store, key, name) = (self.clone(), key.clone(), name.to_owned());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let mut function = find_function(&mut write, &key).await?;
            let Some(old) = function.aliases.remove(name.as_str()) else {
                return Err(Error::AliasNotFound { key, name });
            };
            require_versions(&function, &key, &change.route)?;
            let description = change.description.unwrap_or(old.description);
            let alias = AliasRecord { route: change.route, description, modified_ms: now_ms(), ..old };
            sql::aliases::update(write.db(), &alias).await.during("change an alias of", &key)?;
            write.refresh(&alias.function_id).await?;
            write.commit("change an alias of", &key.to_string()).await?;
            Ok(alias)
        })
        .await
    }

    /// Deletes an alias.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::AliasNotFound`],
    /// [`Error::DefaultAlias`], and [`Error::WrongStatus`] when the function is being deleted.
    pub async fn delete_alias(&self, key: &FunctionKey, name: &str) -> Result<(), Error> {
        let (store, key, name) = (self.clone(), key.clone(), name.to_owned());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            if name == Qualifier::DEFAULT_ALIAS {
                return Err(Error::DefaultAlias { key });
            }
            let id = function.record.id;
            if !sql::aliases::delete(write.db(), &id, &name).await.during("delete an alias of", &key)? {
                return Err(Error::AliasNotFound { key, name });
            }
            write.refresh(&id).await?;
            write.commit("delete an alias of", &key.to_string()).await
        })
        .await
    }
}

/// Returns an error for a route to a version that does not exist.
fn require_versions(function: &FunctionWithVersions, key: &FunctionKey, route: &Route) -> Result<(), Error> {
    match route.versions().find(|version| function.version(*version).is_none()) {
        None => Ok(()),
        Some(version) => Err(Error::VersionNotFound { key: key.clone(), version }),
    }
}
