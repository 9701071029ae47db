//! Retry settings of a function's asynchronous events.

use types::{EventInvokeConfig, FunctionKey};

use crate::error::{During, Error};
use crate::find::find_function;
use crate::handle::Store;
use crate::sql;
use crate::write::{Write, detached};

impl Store {
    /// Changes retries and maximum age of a function's events, for events accepted from now on;
    /// returns the settings in force.
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
