//! Pending preparations and deletions and their outcomes: the part of the
//! store that `deploy` uses.

use types::{FunctionId, PinnedImage, Status, StatusReason, VersionKey, VersionName, VersionRecord};

use crate::error::{During, Error};
use crate::handle::{Store, now_ms};
use crate::progress::Note;
use crate::record::Pending;
use crate::write::{Write, detached};
use crate::{sql, state, versions};

impl Store {
    /// The versions that wait for a preparation, each with the awaited generation; the longest
    /// waiting first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pending(&self) -> Result<Vec<VersionKey>, Error> {
        let mut read = self.database().read().await?;
        sql::versions::in_states(&mut read, &state::PENDING).await.during("read", "versions to prepare")
    }

    /// The spec to prepare; `None` when the generation is obsolete.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pending_version(&self, key: &VersionKey) -> Result<Option<Pending>, Error> {
        let mut read = self.database().read().await?;
        let found = sql::versions::one(&mut read, &key.function_id, key.version)
            .await
            .during("read version of", &key.function_id)?;
        let awaited = found.filter(|(_, v)| v.generation == key.generation && state::is_pending(v.status));
        Ok(awaited.map(|(record, version)| Pending { record, version }))
    }

    /// The functions that are being deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn deleting(&self) -> Result<Vec<FunctionId>, Error> {
        let mut read = self.database().read().await?;
        sql::functions::deleting(&mut read).await.during("read", "functions to delete")
    }

    /// Sets the version to `Active`, serving the desired configuration with this image, and
    /// publishes it if its change requested that. Returns false without an effect if this
    /// generation is obsolete.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mark_active(&self, key: &VersionKey, image: PinnedImage) -> Result<bool, Error> {
        let generation = key.generation;
        self.end_preparation(key, move |version, now_ms| state::activated(version, generation, image, now_ms)).await
    }

    /// Sets the version to `CreateFailed`, or to `UpdateFailed` if it has a serving state, which it
    /// keeps; a version being published becomes `PublishFailed` and serves nothing. Returns false
    /// without an effect if this generation is obsolete.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mark_failed(&self, key: &VersionKey, reason: StatusReason) -> Result<bool, Error> {
        let generation = key.generation;
        self.end_preparation(key, move |version, now_ms| state::failed(version, generation, reason, now_ms)).await
    }

    /// Removes the rows of a function that is being deleted, which frees its name. Does nothing for
    /// a function that is not being deleted or already removed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn finish_delete(&self, id: &FunctionId) -> Result<(), Error> {
        let (store, id) = (self.clone(), id.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            if sql::functions::delete(write.db(), &id).await.during("remove function", &id)? {
                write.commit("remove function", id.as_str()).await?;
            }
            Ok(())
        })
        .await
    }

    async fn end_preparation(
        &self,
        key: &VersionKey,
        next: impl FnOnce(VersionRecord, i64) -> Option<VersionRecord> + Send + 'static,
    ) -> Result<bool, Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let id = &key.function_id;
            let mut write = Write::begin(&store).await?;
            let found = sql::versions::one(write.db(), id, key.version).await.during("read version of", id)?;
            let Some(version) = found.and_then(|(_, version)| next(version, now_ms())) else { return Ok(false) };
            sql::versions::update(write.db(), &version).await.during("change version of", id)?;
            if version.version == VersionName::Latest
                && version.status == Status::Active
                && sql::versions::take_publish(write.db(), id).await.during("publish function", id)?
            {
                versions::publish(&mut write, &version, None).await?;
            }
            write.refresh(id).await?;
            write.note(Note::Settled(id.clone(), key.version));
            write.commit("change version of", id.as_str()).await?;
            Ok(true)
        })
        .await
    }
}
