//! How the asynchronous events of a function are retried and given up.

use types::{EventInvokeConfig, FunctionKey};

use crate::error::{During, Error};
use crate::find::find_function;
use crate::handle::Store;
use crate::sql;
use crate::write::{Write, detached};

impl Store {
    /// Changes how events of a function are retried and given up, from their acceptance on; returns
    /// what is in force.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], and [`Error::WrongStatus`] when
    /// the function is being deleted.
    pub async fn set_event_invoke(
        &self,
        key: &FunctionKey,
        change: impl FnOnce(EventInvokeConfig) -> EventInvokeConfig + Send + 'static,
    ) -> Result<EventInvokeConfig, Error> {
        let (store, key) = (self.clone(), key.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            let (id, config) = (function.record.id, change(function.event_invoke));
            sql::quotas::set_event_invoke(write.db(), &id, config).await.during("set the event settings of", &key)?;
            write.refresh(&id).await?;
            write.commit("set the event settings of", &key.to_string()).await?;
            Ok(config)
        })
        .await
    }
}
