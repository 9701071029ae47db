//! Look-ups within a transaction, shared by several kinds of changes: a namespace, a function by
//! its key, its `$LATEST`.

use sqlx::SqliteConnection;
use types::{FunctionKey, FunctionRecord, Namespace, Status, VersionName, VersionRecord};

use crate::error::{During, Error};
use crate::record::FunctionWithVersions;
use crate::sql;
use crate::sql::functions::Holder;
use crate::write::Write;

/// Returns an error if the namespace does not exist.
pub(crate) async fn require_namespace(db: &mut SqliteConnection, namespace: &Namespace) -> Result<(), Error> {
    match sql::namespaces::exists(db, namespace).await.during("read namespace", namespace)? {
        true => Ok(()),
        false => Err(Error::NamespaceNotFound { namespace: namespace.clone() }),
    }
}

/// The function of this name; `None` when the namespace exists and the name is free.
pub(crate) async fn find_holder(db: &mut SqliteConnection, key: &FunctionKey) -> Result<Option<Holder>, Error> {
    let holder = sql::functions::holder(db, key).await.during("read function", key)?;
    if holder.is_none() {
        require_namespace(db, &key.namespace).await?;
    }
    Ok(holder)
}

/// A function with its versions and aliases, for a change; an error if it is being deleted.
pub(crate) async fn find_function(write: &mut Write, key: &FunctionKey) -> Result<FunctionWithVersions, Error> {
    let not_found = || Error::FunctionNotFound { key: key.clone() };
    let holder = find_holder(write.db(), key).await?.ok_or_else(not_found)?;
    if holder.deleting {
        return Err(Error::WrongStatus { key: key.clone(), status: Status::Deleting });
    }
    let found = sql::lists::function(write.db(), &holder.id).await.during("read function", key)?;
    found.ok_or_else(not_found)
}

/// A function and its `$LATEST`.
pub(crate) async fn read_latest(
    db: &mut SqliteConnection,
    key: &FunctionKey,
) -> Result<(FunctionRecord, VersionRecord), Error> {
    let not_found = || Error::FunctionNotFound { key: key.clone() };
    let holder = find_holder(db, key).await?.ok_or_else(not_found)?;
    let found = sql::versions::one(db, &holder.id, VersionName::Latest).await.during("read function", key)?;
    found.ok_or_else(not_found)
}

/// The status that the API shows of the function.
pub(crate) async fn latest_status(
    db: &mut SqliteConnection,
    holder: &Holder,
    key: &FunctionKey,
) -> Result<Status, Error> {
    if holder.deleting {
        return Ok(Status::Deleting);
    }
    Ok(read_latest(db, key).await?.1.status)
}
