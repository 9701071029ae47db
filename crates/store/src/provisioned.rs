//! Provisioned concurrency of published versions.

use types::{Catalog, FunctionKey, ProvisionedSpec, Status, VersionName};

use crate::error::{During, Error, QuotaError};
use crate::find::find_function;
use crate::handle::Store;
use crate::sql;
use crate::write::{Write, detached};

impl Store {
    /// Sets the provisioned instances of a published version, or removes them with `None`.
    /// `quota_mb` is the installation's quota in force; `None` if there is no limit.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::VersionNotFound`],
    /// [`Error::VersionNotActive`], [`QuotaError::ProvisionedTooMuch`], and [`Error::WrongStatus`]
    /// when the function is being deleted.
    pub async fn provision(
        &self,
        key: &FunctionKey,
        number: u32,
        spec: Option<ProvisionedSpec>,
        quota_mb: Option<u64>,
    ) -> Result<(), Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let version = VersionName::Number(number);
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            let status = match function.version(version) {
                Some(found) => found.status,
                None => return Err(Error::VersionNotFound { key, version }),
            };
            if let Some(spec) = &spec {
                if status != Status::Active {
                    return Err(Error::VersionNotActive { key, version, status });
                }
                // The write lock is held, so the snapshot equals the database.
                require_room(&store.catalog().load(), &key, version, spec.most(), quota_mb)?;
            }
            let id = function.record.id;
            let written = sql::versions::set_provisioned(write.db(), &id, version, spec.as_ref()).await;
            written.during("provision instances of", &key)?;
            write.refresh(&id).await?;
            write.commit("provision instances of", &key.to_string()).await
        })
        .await
    }
}

/// Returns an error if the instances exceed the function's reservation or, without one, the memory
/// that all share.
fn require_room(
    catalog: &Catalog,
    key: &FunctionKey,
    version: VersionName,
    number: u32,
    quota_mb: Option<u64>,
) -> Result<(), Error> {
    let Some(function) = catalog.functions.get(key) else { return Ok(()) };
    let memory_mb = function.versions.get(&version).map_or(0, |version| u64::from(version.spec.memory_mb));
    let wanted_mb = u64::from(number) * memory_mb;
    let of_others = function.provisioned_mb_without(Some(version));
    let (room_mb, reserved) = match (function.reserved_mb, quota_mb) {
        (Some(own_mb), _) => (own_mb.saturating_sub(of_others), true),
        (None, None) => return Ok(()),
        (None, Some(quota_mb)) => {
            let by_other_functions = catalog.functions.committed_mb().saturating_sub(function.committed_mb());
            (quota_mb.saturating_sub(by_other_functions).saturating_sub(of_others), false)
        }
    };
    if wanted_mb <= room_mb {
        return Ok(());
    }
    Err(Error::Quota(QuotaError::ProvisionedTooMuch { key: key.clone(), version, wanted_mb, room_mb, reserved }))
}
