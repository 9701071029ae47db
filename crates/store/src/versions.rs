//! Publishes the serving state of `$LATEST`, and deletes published versions.

use types::{FunctionId, FunctionKey, VersionKey, VersionName, VersionRecord};

use crate::error::{During, Error};
use crate::find::{find_function, read_latest};
use crate::handle::{Store, now_ms};
use crate::progress::Note;
use crate::record::Publication;
use crate::write::{Write, detached};
use crate::{sql, state};

impl Store {
    /// Publishes the serving configuration and digest of `$LATEST` under the next number. The
    /// version is callable at once; it is `Publishing` until its image is pinned for it, then
    /// `Active`. Without a description it gets the function's.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::TooManyVersions`], and
    /// [`Error::NotPublishable`] unless `$LATEST` is `Active`.
    pub async fn publish_version(
        &self,
        key: &FunctionKey,
        description: Option<String>,
    ) -> Result<VersionRecord, Error> {
        self.publish_as(key, Publication { description, ..Publication::default() }).await
    }

    /// [`Self::publish_version`] with a number chosen by the client, or only if the client's
    /// revision is current.
    ///
    /// # Errors
    /// Those of [`Self::publish_version`], [`Error::VersionNumberTaken`] and
    /// [`Error::RevisionChanged`].
    pub async fn publish_as(&self, key: &FunctionKey, publication: Publication) -> Result<VersionRecord, Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let (function, latest) = read_latest(write.db(), &key).await?;
            if let Some(seen) = publication.revision {
                let found = find_function(&mut write, &key).await?.revision();
                if seen != found {
                    return Err(Error::RevisionChanged { key, seen, found });
                }
            }
            require_room(&mut write, &function.id, &key, store.config().versions_per_function_max).await?;
            if state::publishable(&latest).is_none() {
                return Err(Error::NotPublishable { key, status: latest.status });
            }
            if let Some(number) = publication.number {
                skip_to(&mut write, &function.id, &key, number).await?;
            }
            let Some(version) = publish(&mut write, &latest, publication.description).await? else {
                return Err(Error::NotPublishable { key, status: latest.status });
            };
            write.refresh(&function.id).await?;
            write.commit("publish function", &key.to_string()).await?;
            Ok(version)
        })
        .await
    }

    /// Deletes a published version; running calls of it finish. Its number is not reused.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::VersionNotFound`],
    /// [`Error::VersionInUse`], [`Error::VersionProvisioned`], and [`Error::WrongStatus`] when the
    /// function is being deleted.
    pub async fn delete_version(&self, key: &FunctionKey, number: u32) -> Result<(), Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let version = VersionName::Number(number);
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            if function.version(version).is_none() {
                return Err(Error::VersionNotFound { key, version });
            }
            let routes = function.aliases.values().filter(|alias| alias.route.versions().any(|to| to == version));
            let aliases: Vec<String> = routes.map(|alias| alias.name.clone()).collect();
            if !aliases.is_empty() {
                return Err(Error::VersionInUse { key, version, aliases });
            }
            // The write lock is held, so the snapshot equals the database.
            let entry = store.catalog().load().functions.get(&key).cloned();
            if entry.is_some_and(|entry| entry.provisioned.contains_key(&version)) {
                return Err(Error::VersionProvisioned { key, version });
            }
            let id = function.record.id;
            sql::versions::delete(write.db(), &id, version).await.during("delete version of", &key)?;
            write.refresh(&id).await?;
            write.note(Note::Settled(id, version));
            write.commit("delete version of", &key.to_string()).await
        })
        .await
    }
}

/// Skips numbers, so that this is the next one.
async fn skip_to(write: &mut Write, id: &FunctionId, key: &FunctionKey, number: u32) -> Result<(), Error> {
    let taken = sql::functions::pass_over(write.db(), id, number).await.during("number a version of", key)?;
    taken.map_err(|last| Error::VersionNumberTaken { key: key.clone(), number, next: u64::from(last) + 1 })
}

/// Returns an error if the function has reached its limit of published versions.
pub(crate) async fn require_room(
    write: &mut Write,
    id: &FunctionId,
    key: &FunctionKey,
    versions_max: u32,
) -> Result<(), Error> {
    let there = sql::versions::count_published(write.db(), id).await.during("count versions of", key)?;
    if there >= i64::from(versions_max) {
        return Err(Error::TooManyVersions { key: key.clone(), versions_max });
    }
    Ok(())
}

/// Writes the next published version; `None` if `latest` cannot be published. The caller updates
/// the catalog and commits.
pub(crate) async fn publish(
    write: &mut Write,
    latest: &VersionRecord,
    description: Option<String>,
) -> Result<Option<VersionRecord>, Error> {
    let Some(served) = state::publishable(latest) else { return Ok(None) };
    let id = &latest.function_id;
    let number = sql::functions::next_version(write.db(), id).await.during("number a version of", id)?;
    let version = state::published(id.clone(), number, served, description, now_ms());
    sql::versions::insert(write.db(), &version).await.during("publish function", id)?;
    let key = VersionKey { function_id: id.clone(), version: version.version, generation: version.generation };
    write.note(Note::Pending(key));
    Ok(Some(version))
}
