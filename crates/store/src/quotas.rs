//! Memory quotas: the installation's total and the reservations of functions.

use types::FunctionKey;

use crate::error::{During, Error, QuotaError};
use crate::find::find_function;
use crate::handle::Store;
use crate::snapshot::Edit;
use crate::sql;
use crate::write::{Write, detached};

impl Store {
    /// Sets a function's reservation to `reserved_mb`, or removes it with `None`. `quota_mb` is the
    /// installation's quota in force; `None` if there is no limit.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`QuotaError::ReservedTooMuch`]
    /// if too little would remain for other functions, and [`Error::WrongStatus`] when the function
    /// is being deleted.
    pub async fn reserve(
        &self,
        key: &FunctionKey,
        reserved_mb: Option<u64>,
        quota_mb: Option<u64>,
    ) -> Result<(), Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let id = find_function(&mut write, &key).await?.record.id;
            let others =
                sql::quotas::reserved_by_others(write.db(), Some(&id)).await.during("read the quota of", &key)?;
            if let (Some(wanted_mb), Some(quota_mb)) = (reserved_mb, quota_mb) {
                let free_mb = quota_mb.saturating_sub(store.config().shared_mb_min(quota_mb)).saturating_sub(others);
                if wanted_mb > free_mb {
                    return Err(Error::Quota(QuotaError::ReservedTooMuch { key, wanted_mb, free_mb }));
                }
            }
            sql::quotas::set_reserved(write.db(), &id, reserved_mb).await.during("set the quota of", &key)?;
            write.refresh(&id).await?;
            write.commit("set the quota of", &key.to_string()).await
        })
        .await
    }

    /// Sets the quota of the installation, at most `quota_mb_max`; `None` if the configuration has
    /// no limit.
    ///
    /// # Errors
    /// [`QuotaError::TooLarge`], and [`QuotaError::TooSmall`] if it is smaller than the
    /// reservations and the shared minimum.
    pub async fn set_quota(&self, quota_mb: u64, quota_mb_max: Option<u64>) -> Result<(), Error> {
        let store = self.clone();
        detached(async move {
            if let Some(quota_mb_max) = quota_mb_max.filter(|max| quota_mb > *max) {
                return Err(Error::Quota(QuotaError::TooLarge { quota_mb, quota_mb_max }));
            }
            const SUBJECT: &str = "the installation";
            let mut write = Write::begin(&store).await?;
            let reserved_mb =
                sql::quotas::reserved_by_others(write.db(), None).await.during("read the quotas of", SUBJECT)?;
            if quota_mb.saturating_sub(store.config().shared_mb_min(quota_mb)) < reserved_mb || quota_mb == 0 {
                return Err(Error::Quota(QuotaError::TooSmall { quota_mb, reserved_mb }));
            }
            sql::quotas::set_total(write.db(), quota_mb).await.during("set the quota of", SUBJECT)?;
            write.edit(Edit::Quota(quota_mb));
            write.commit("set the quota of", SUBJECT).await
        })
        .await
    }
}
