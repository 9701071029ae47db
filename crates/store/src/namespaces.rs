//! Creates, describes, lists and deletes namespaces.

use types::Namespace;

use crate::error::{During, Error};
use crate::handle::{Store, now_ms};
use crate::record::NamespaceRecord;
use crate::write::{Write, detached};
use crate::{secrets, sql};

impl Store {
    /// Creates a namespace.
    ///
    /// # Errors
    /// [`Error::NamespaceExists`], [`Error::TooManyNamespaces`].
    pub async fn create_namespace(&self, name: &Namespace, description: &str) -> Result<NamespaceRecord, Error> {
        let (store, now_ms) = (self.clone(), now_ms());
        let record = NamespaceRecord {
            name: name.clone(),
            description: description.to_owned(),
            added_ms: now_ms,
            modified_ms: now_ms,
        };
        detached(async move {
            let name = record.name.clone();
            let mut write = Write::begin(&store).await?;
            if sql::namespaces::exists(write.db(), &name).await.during("read namespace", &name)? {
                return Err(Error::NamespaceExists { namespace: name });
            }
            let namespaces_max = store.config().namespaces_max;
            if sql::namespaces::count(write.db()).await.during("count", "namespaces")? >= i64::from(namespaces_max) {
                return Err(Error::TooManyNamespaces { namespaces_max });
            }
            sql::namespaces::insert(write.db(), &record).await.during("make namespace", &name)?;
            write.refresh_namespaces().await?;
            write.commit("make namespace", name.as_str()).await?;
            Ok(record)
        })
        .await
    }

    /// Changes the description of a namespace.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`].
    pub async fn update_namespace(&self, name: &Namespace, description: &str) -> Result<(), Error> {
        let (store, name, description) = (self.clone(), name.clone(), description.to_owned());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let operation = "describe namespace";
            if !sql::namespaces::describe(write.db(), &name, &description, now_ms()).await.during(operation, &name)? {
                return Err(Error::NamespaceNotFound { namespace: name });
            }
            write.commit(operation, name.as_str()).await
        })
        .await
    }

    /// Deletes a namespace that has no functions and no secrets.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::DefaultNamespace`], [`Error::NamespaceNotEmpty`],
    /// [`Error::NamespaceHasSecrets`].
    pub async fn delete_namespace(&self, name: &Namespace) -> Result<(), Error> {
        let (store, name) = (self.clone(), name.clone());
        if name == Namespace::default_namespace() {
            return Err(Error::DefaultNamespace { namespace: name });
        }
        detached(async move {
            let mut write = Write::begin(&store).await?;
            if !sql::namespaces::exists(write.db(), &name).await.during("read namespace", &name)? {
                return Err(Error::NamespaceNotFound { namespace: name });
            }
            let functions =
                sql::functions::count_rows_in(write.db(), &name).await.during("count functions of", &name)?;
            if functions > 0 {
                return Err(Error::NamespaceNotEmpty { namespace: name, functions: functions.cast_unsigned() });
            }
            let secrets = secrets::count_in(&store.catalog().load(), &name);
            if secrets > 0 {
                return Err(Error::NamespaceHasSecrets { namespace: name, secrets });
            }
            sql::namespaces::delete(write.db(), &name).await.during("delete namespace", &name)?;
            write.refresh_namespaces().await?;
            write.commit("delete namespace", name.as_str()).await
        })
        .await
    }

    /// All namespaces, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, Error> {
        let mut read = self.database().read().await?;
        sql::namespaces::all(&mut read).await.during("read", "namespaces")
    }
}
