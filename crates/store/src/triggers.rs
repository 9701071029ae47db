//! Creates, changes and deletes triggers. Reads use the catalog, where each is part of its
//! function's entry; deleting a function deletes its triggers.

use std::sync::Arc;

use serde_json::{Map, Value};
use types::{FunctionKey, Qualifier, Trigger, TriggerId, TriggerOptions};

use crate::error::{During, Error};
use crate::find::find_function;
use crate::handle::{Store, now_ms};
use crate::record::FunctionWithVersions;
use crate::sql;
use crate::trigger_name::TriggerName;
use crate::write::{Write, detached};

/// A trigger to create.
#[derive(Debug, Clone)]
pub struct NewTrigger {
    /// The function.
    pub key: FunctionKey,
    /// Its key.
    pub name: TriggerName,
    /// See [`Trigger`].
    pub desc: Map<String, Value>,
    /// See [`Trigger`].
    pub options: TriggerOptions,
    /// See [`Trigger`].
    pub enabled: bool,
    /// See [`Trigger`].
    pub custom_argument: String,
    /// See [`Trigger`].
    pub description: String,
}

/// A change of a trigger; `None` keeps a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct TriggerChange {
    /// Settings of its type, and the options.
    pub desc: Option<(Map<String, Value>, TriggerOptions)>,
    /// Whether it creates events.
    pub enabled: Option<bool>,
    /// Text in its events.
    pub custom_argument: Option<String>,
    /// Free text.
    pub description: Option<String>,
}

impl Store {
    /// Creates a trigger.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::QualifierNotFound`],
    /// [`Error::TriggerExists`], [`Error::TooManyTriggers`], and [`Error::WrongStatus`] when the
    /// function is being deleted.
    pub async fn create_trigger(&self, new: NewTrigger) -> Result<Arc<Trigger>, Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let NewTrigger { key, name, .. } = &new;
            let function = find_function(&mut write, key).await?;
            if name.find(&function).is_some() {
                return Err(Error::TriggerExists { key: key.clone(), name: name.clone() });
            }
            require_qualifier(&function, key, &name.qualifier)?;
            let triggers_max = store.config().triggers_per_kind_max;
            let of_kind = function.triggers.iter().filter(|trigger| trigger.kind == name.kind).count();
            if of_kind >= triggers_max as usize {
                return Err(Error::TooManyTriggers { key: key.clone(), kind: name.kind.clone(), triggers_max });
            }
            let now_ms = now_ms();
            let trigger = Trigger {
                id: TriggerId::random(),
                kind: new.name.kind,
                name: new.name.name,
                qualifier: new.name.qualifier,
                desc: new.desc,
                options: new.options,
                enabled: new.enabled,
                custom_argument: new.custom_argument,
                description: new.description,
                since_ms: now_ms,
                added_ms: now_ms,
                modified_ms: now_ms,
            };
            put(write, &function, trigger).await
        })
        .await
    }

    /// Changes a trigger. After a change of its settings, and after it was enabled, it creates
    /// events only for later due times.
    ///
    /// # Errors
    /// [`Error::NamespaceNotFound`], [`Error::FunctionNotFound`], [`Error::TriggerNotFound`], and
    /// [`Error::WrongStatus`] when the function is being deleted.
    pub async fn change_trigger(
        &self,
        key: &FunctionKey,
        name: &TriggerName,
        change: TriggerChange,
    ) -> Result<Arc<Trigger>, Error> {
        let (store, key, name) = (self.clone(), key.clone(), name.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            let Some(old) = name.find(&function) else { return Err(Error::TriggerNotFound { key, name }) };
            let mut trigger = Trigger { modified_ms: now_ms(), ..(*old).clone() };
            if let Some((desc, options)) = change.desc {
                (trigger.desc, trigger.options) = (desc, options);
            }
            trigger.enabled = change.enabled.unwrap_or(trigger.enabled);
            trigger.custom_argument = change.custom_argument.unwrap_or(trigger.custom_argument);
            trigger.description = change.description.unwrap_or(trigger.description);
            if trigger.desc != old.desc || trigger.enabled && !old.enabled {
                trigger.since_ms = trigger.modified_ms;
            }
            put(write, &function, trigger).await
        })
        .await
    }

    /// Deletes a trigger.
    ///
    /// # Errors
    /// Those of [`Store::change_trigger`].
    pub async fn delete_trigger(&self, key: &FunctionKey, name: &TriggerName) -> Result<(), Error> {
        let (store, key, name) = (self.clone(), key.clone(), name.clone());
        detached(async move {
            let mut write = Write::begin(&store).await?;
            let function = find_function(&mut write, &key).await?;
            let Some(trigger) = name.find(&function) else { return Err(Error::TriggerNotFound { key, name }) };
            sql::triggers::delete(write.db(), &trigger.id).await.during("delete a trigger of", &key)?;
            write.refresh(&function.record.id).await?;
            write.commit("delete a trigger of", &key.to_string()).await
        })
        .await
    }
}

async fn put(mut write: Write, function: &FunctionWithVersions, trigger: Trigger) -> Result<Arc<Trigger>, Error> {
    let (id, key) = (&function.record.id, &function.record.key);
    sql::triggers::put(write.db(), id, &trigger).await.during("write a trigger of", key)?;
    write.refresh(id).await?;
    write.commit("write a trigger of", &key.to_string()).await?;
    Ok(Arc::new(trigger))
}

/// Returns an error for a version or alias that does not exist. Deleting one later does not change
/// its triggers: their events then fail to find it.
fn require_qualifier(function: &FunctionWithVersions, key: &FunctionKey, qualifier: &Qualifier) -> Result<(), Error> {
    let there = match qualifier {
        Qualifier::Version(version) => function.version(*version).is_some(),
        Qualifier::Alias(name) => function.aliases.contains_key(name),
    };
    if there { Ok(()) } else { Err(Error::QualifierNotFound { key: key.clone(), qualifier: qualifier.clone() }) }
}
