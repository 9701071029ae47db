//! Creates, reads, changes and deletes functions for the API.

use sqlx::SqliteConnection;
use types::{
    AliasRecord, FunctionId, FunctionKey, FunctionRecord, Namespace, Qualifier, Route, Status, VersionKey, VersionName,
    VersionRecord,
};

use crate::config::Config;
use crate::error::{During, Error};
use crate::find::{find_holder, latest_status, read_latest, require_namespace};
use crate::handle::{Store, now_ms};
use crate::progress::Note;
use crate::record::{Change, FunctionPage, FunctionQuery, FunctionWithVersions, NewFunction};
use crate::sql::columns::to_json;
use crate::versions::require_room;
use crate::write::{Write, detached};
use crate::{secrets, sql, state};

impl Store {
    /// Creates a function; its `$LATEST` is `Creating` until its image is prepared.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionExists`], [`Error::TooManyFunctions`],
    /// [`Error::SpecTooLarge`], and for its secrets the variants `NotFound`, `VersionNotFound` and
    /// `NotText` of [`SecretError`](crate::SecretError).
    pub async fn create_function(&self, new: NewFunction) -> Result<FunctionRecord, Error> {
        check_size(self.config(), &new.key, &new.spec)?;
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            if let Some(holder) = find_holder(write.db(), &new.key).await? {
                let status = latest_status(write.db(), &holder, &new.key).await?;
                return Err(Error::FunctionExists { key: new.key, status });
            }
            make(&store, write, new).await
        })
        .await
    }

    /// Creates a function and deletes an existing one with its name, in one step: callers see
    /// either the old function or the new one, which is `Creating`.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::TooManyFunctions`], [`Error::SpecTooLarge`].
    pub async fn replace_function(&self, new: NewFunction) -> Result<FunctionRecord, Error> {
        check_size(self.config(), &new.key, &new.spec)?;
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            if let Some(holder) = find_holder(write.db(), &new.key).await? {
                mark_deleting(&mut write, &holder.id, &new.key, true).await?;
            }
            make(&store, write, new).await
        })
        .await
    }

    /// A function with its versions and aliases, also while it is being deleted.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`].
    pub async fn function(&self, key: &FunctionKey) -> Result<FunctionWithVersions, Error> {
        let mut read = self.database().read().await?;
        let Some(holder) = find_holder(&mut read, key).await? else {
            return Err(Error::FunctionNotFound { key: key.clone() });
        };
        let found = sql::lists::function(&mut read, &holder.id).await.during("read function", key)?;
        found.ok_or_else(|| Error::FunctionNotFound { key: key.clone() })
    }

    /// The matching functions, including those being deleted.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`].
    pub async fn functions(&self, query: &FunctionQuery) -> Result<FunctionPage, Error> {
        let mut read = self.database().read().await?;
        require_namespace(&mut read, &query.namespace).await?;
        sql::lists::page(&mut read, query).await.during("list functions of", &query.namespace)
    }

    /// Number of functions of each namespace, by name of the namespace, without those being
    /// deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn counts(&self) -> Result<Vec<(Namespace, u64)>, Error> {
        let mut read = self.database().read().await?;
        let counts = sql::functions::counts(&mut read).await.during("count", "functions")?;
        Ok(counts.into_iter().map(|(namespace, functions)| (namespace, functions.cast_unsigned())).collect())
    }

    /// Changes `$LATEST`. `edit` runs under the write lock on the current state, so that concurrent
    /// changes are not lost; its refusal is the inner error. All other writes wait for it, so it
    /// must be quick.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::SpecTooLarge`],
    /// [`Error::TooManyVersions`] when it is to be published, and [`Error::WrongStatus`] unless the
    /// version is `Active`, `UpdateFailed` or `CreateFailed`.
    pub async fn change_latest<E: Send + 'static>(
        &self,
        key: &FunctionKey,
        edit: impl FnOnce(&FunctionRecord, &VersionRecord) -> Result<Change, E> + Send + 'static,
    ) -> Result<Result<VersionRecord, E>, Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let (function, old) = read_latest(write.db(), &key).await?;
            // Before the status check: a refused value stays refused, while a status is temporary.
            let change = match edit(&function, &old) {
                Ok(change) => change,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if !state::takes_changes(old.status) {
                return Err(Error::WrongStatus { key, status: old.status });
            }
            check_size(store.config(), &key, &change.spec)?;
            secrets::require(&store.catalog().load(), &key, &change.spec)?;
            let publish = change.publish;
            if publish {
                require_room(&mut write, &function.id, &key, store.config().versions_per_function_max).await?;
            }
            let now_ms = now_ms();
            let changed = state::changed(old, change, now_ms)
                .map_err(|status| Error::WrongStatus { key: key.clone(), status })?;
            sql::versions::update(write.db(), &changed).await.during("change function", &key)?;
            sql::versions::set_publish(write.db(), &function.id, publish).await.during("change function", &key)?;
            sql::functions::touch(write.db(), &function.id, now_ms).await.during("change function", &key)?;
            write.refresh(&function.id).await?;
            write.note(Note::Pending(version_key(&changed)));
            write.commit("change function", &key.to_string()).await?;
            Ok(Ok(changed))
        })
        .await
    }

    /// Begins to delete a function: it becomes `Deleting`, leaves the catalog, and keeps its name
    /// until [`Store::finish_delete`]. Deleting it again is not an error.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`].
    pub async fn begin_delete(&self, key: &FunctionKey) -> Result<FunctionId, Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let Some(holder) = find_holder(write.db(), &key).await? else {
                return Err(Error::FunctionNotFound { key });
            };
            if !holder.deleting {
                mark_deleting(&mut write, &holder.id, &key, false).await?;
                write.commit("delete function", &key.to_string()).await?;
            }
            Ok(holder.id)
        })
        .await
    }
}

fn version_key(version: &VersionRecord) -> VersionKey {
    VersionKey { function_id: version.function_id.clone(), version: version.version, generation: version.generation }
}

fn check_size(config: &Config, key: &FunctionKey, spec: &types::VersionSpec) -> Result<(), Error> {
    let (bytes, bytes_max) = (to_json(spec).len(), config.spec_bytes_max);
    if bytes > bytes_max {
        return Err(Error::SpecTooLarge { key: key.clone(), bytes, bytes_max });
    }
    Ok(())
}

/// Writes a new function whose name is free, and commits.
async fn make(store: &Store, mut write: Write, new: NewFunction) -> Result<FunctionRecord, Error> {
    let functions_max = store.config().functions_per_namespace_max;
    let there =
        sql::functions::count_in(write.db(), &new.key.namespace).await.during("count functions of", &new.key)?;
    if there >= i64::from(functions_max) {
        return Err(Error::TooManyFunctions { namespace: new.key.namespace, functions_max });
    }
    secrets::require(&store.catalog().load(), &new.key, &new.spec)?;
    let now_ms = now_ms();
    let record = FunctionRecord {
        id: FunctionId::random(),
        key: new.key,
        kind: new.kind,
        protocol: new.protocol,
        async_run: new.async_run,
        trace: new.trace,
        tags: new.tags,
        added_ms: now_ms,
        modified_ms: now_ms,
    };
    let latest = state::made(record.id.clone(), new.spec, now_ms);
    insert(write.db(), &record, &latest).await.during("make function", &record.key)?;
    write.refresh(&record.id).await?;
    write.note(Note::Pending(version_key(&latest)));
    write.commit("make function", &record.key.to_string()).await?;
    Ok(record)
}

async fn insert(db: &mut SqliteConnection, record: &FunctionRecord, latest: &VersionRecord) -> sqlx::Result<()> {
    sql::functions::insert(db, record).await?;
    sql::versions::insert(db, latest).await?;
    let default = AliasRecord {
        function_id: record.id.clone(),
        name: Qualifier::DEFAULT_ALIAS.to_owned(),
        route: Route::to(VersionName::Latest),
        description: String::new(),
        added_ms: record.added_ms,
        modified_ms: record.added_ms,
    };
    sql::aliases::insert(db, &default).await
}

/// Marks function and versions as being deleted; the caller commits.
async fn mark_deleting(write: &mut Write, id: &FunctionId, key: &FunctionKey, replaced: bool) -> Result<(), Error> {
    let now_ms = now_ms();
    sql::functions::mark_deleting(write.db(), id, replaced, now_ms).await.during("delete function", key)?;
    sql::versions::mark_all(write.db(), id, Status::Deleting, now_ms).await.during("delete function", key)?;
    write.remove(key);
    write.note(Note::Deleting(id.clone()));
    Ok(())
}
