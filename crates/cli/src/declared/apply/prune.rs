//! Removes items that the project created: those no longer declared, or all that a file declares.
//! Items of other projects and of users stay.

use std::time::Instant;

use serde_json::{Value, json};

use super::again::again;
use super::{Mode, Outcomes, Run, invalid};
use crate::commands::delete::gone;
use crate::declared::model::{Alias, Function, FunctionName};
use crate::declared::plan::{Act, Change, Item};
use crate::declared::platform::function::named;
use crate::declared::platform::{entry, release};
use crate::declared::{observe, order};
use crate::failure::{Exit, Failure};

impl Run<'_> {
    /// Removes items that the project created and no longer declares.
    pub(super) async fn prune(&self, outcomes: &mut Outcomes) {
        match self.superfluous().await {
            Ok(items) => self.remove(items, outcomes).await,
            Err(error) => {
                let item = Item::Project(self.file.project.clone());
                outcomes.add(self, item, Instant::now(), Err(error));
            }
        }
    }

    /// Removes items that the file declares and the project created.
    pub async fn delete(&self) -> anyhow::Result<()> {
        let mut items = Vec::new();
        for name in self.file.domains.keys() {
            let there = observe::domain(self.client, name).await?;
            if there.is_some_and(|(_, project)| self.is_own(project.as_deref())) {
                items.push(Item::Domain(name.clone()));
            }
        }
        let mut functions = order::of(&self.file.functions);
        functions.reverse();
        for name in &functions {
            let Some(there) = observe::function(self.client, name).await? else { continue };
            if !self.is_own(there.project.as_deref()) {
                items.extend(self.own_parts(name, &Function::default()).await?);
            }
        }
        for name in functions {
            let there = observe::function(self.client, name).await?;
            if there.is_some_and(|there| self.is_own(there.project.as_deref())) {
                items.push(Item::Function(name.clone()));
            }
        }
        let mut outcomes = Outcomes::default();
        self.remove(items, &mut outcomes).await;
        self.conclude(outcomes, None)
    }

    fn is_own(&self, project: Option<&str>) -> bool {
        project == Some(self.file.project.as_str())
    }

    /// Lists items that the project created and the file does not declare, in order of removal.
    async fn superfluous(&self) -> anyhow::Result<Vec<Item>> {
        let mut items = Vec::new();
        for (name, (_, project)) in observe::domains(self.client).await? {
            if self.is_own(project.as_deref()) && !self.file.domains.contains_key(&name) {
                items.push(Item::Domain(name));
            }
        }
        let mut functions = Vec::new();
        for (name, project) in observe::functions(self.client).await? {
            match self.file.functions.get(&name) {
                Some(declared) => items.extend(self.own_parts(&name, declared).await?),
                None if self.is_own(project.as_deref()) => functions.push(Item::Function(name)),
                None => {}
            }
        }
        items.extend(functions);
        Ok(items)
    }

    /// Lists triggers, aliases and versions of a function that the project created and does not
    /// declare.
    async fn own_parts(&self, name: &FunctionName, declared: &Function) -> anyhow::Result<Vec<Item>> {
        let mut items = Vec::new();
        let triggers: Vec<_> = declared.triggers.iter().flatten().collect();
        let triggers: Vec<_> = triggers.into_iter().map(|(key, trigger)| trigger.clone().filled(key).key()).collect();
        for (key, (_, project)) in observe::triggers(self.client, name).await? {
            if self.is_own(project.as_deref()) && !triggers.contains(&key) {
                items.push(Item::StrayTrigger(name.clone(), key));
            }
        }
        let aliases = observe::aliases(self.client, name).await?;
        let declares = |alias: &String| declared.aliases.as_ref().is_some_and(|aliases| aliases.contains_key(alias));
        for (alias, (_, project)) in &aliases {
            if self.is_own(project.as_deref()) && !declares(alias) {
                items.push(Item::Alias(name.clone(), alias.clone()));
            }
        }
        if declared.publish == Some(true) {
            return Ok(items);
        }
        let used = |number: u32| {
            let stays = |(alias, (_, project)): &(&String, &(Alias, Option<String>))| {
                declares(alias) || !self.is_own(project.as_deref())
            };
            let mut staying = aliases.iter().filter(stays);
            staying.any(|(_, (alias, _))| alias.leads_to(&number.to_string()))
        };
        for (number, project) in observe::versions(self.client, name).await? {
            let kept = declared.versions.iter().flatten().any(|(known, _)| known.0 == number);
            if self.is_own(project.as_deref()) && !kept && !used(number) {
                items.push(Item::Version(name.clone(), Some(number)));
            }
        }
        Ok(items)
    }

    /// Removes a version, after its provisioned concurrency.
    async fn remove_version(&self, name: &FunctionName, number: u32) -> anyhow::Result<()> {
        if observe::provisioned(self.client, name).await?.contains_key(&number) {
            let mut off = Value::Object(named(name));
            off["Qualifier"] = number.to_string().into();
            self.client.call("DeleteProvisionedConcurrencyConfig", &off).await?;
        }
        self.delete_version(name, number).await
    }

    /// Returns an error if an undeclared function has triggers, aliases or versions that the
    /// project did not create, because they would be deleted with it.
    async fn refuse_others(&self, name: &FunctionName) -> anyhow::Result<()> {
        if self.file.functions.contains_key(name) {
            return Ok(());
        }
        let mut others = Vec::new();
        for (key, (_, project)) in observe::triggers(self.client, name).await? {
            others.extend((!self.is_own(project.as_deref())).then(|| Item::StrayTrigger(name.clone(), key)));
        }
        for (alias, (_, project)) in observe::aliases(self.client, name).await? {
            let other = !self.is_own(project.as_deref()) && !alias.starts_with('$');
            others.extend(other.then(|| Item::Alias(name.clone(), alias)));
        }
        for (number, project) in observe::versions(self.client, name).await? {
            others.extend((!self.is_own(project.as_deref())).then(|| Item::Version(name.clone(), Some(number))));
        }
        if others.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = others.iter().map(Item::to_string).collect();
        let (message, project) = (others.join(", "), &self.file.project);
        let message = format!("function {name} has resources that project {project} did not create: {message}");
        Err(invalid(message, "Remove these first, or the whole function with `sampan delete`."))
    }

    async fn remove(&self, items: Vec<Item>, outcomes: &mut Outcomes) {
        for item in items {
            let started = Instant::now();
            let change = Change { item: item.clone(), act: Act::Delete, differences: Vec::new() };
            let done = match self.mode {
                Mode::Compare => Ok(change),
                Mode::Deploy => again(async || self.remove_one(&item).await).await.map(|()| change),
            };
            outcomes.add(self, item, started, done);
        }
    }

    /// Removes an item; succeeds if it does not exist.
    async fn remove_one(&self, item: &Item) -> anyhow::Result<()> {
        match self.remove_present(item).await {
            Err(error) if Failure::of(&error).exit() == Exit::NotFound => Ok(()),
            done => done,
        }
    }

    async fn remove_present(&self, item: &Item) -> anyhow::Result<()> {
        let (action, request) = match item {
            Item::Domain(name) => ("DeleteCustomDomain", json!({ "Domain": name })),
            Item::Function(name) => {
                self.refuse_others(name).await?;
                return gone(self.client, &name.namespace, &name.name).await;
            }
            Item::StrayTrigger(name, key) => ("DeleteTrigger", entry::trigger_named(name, key)),
            Item::Alias(name, alias) if alias.starts_with('$') => {
                // This alias cannot be deleted; it is reset to the target it has in a new function.
                let latest = Alias { version: "$LATEST".to_owned(), weights: None, rule: None, description: None };
                ("UpdateAlias", release::alias_request(name, alias, &latest, None))
            }
            Item::Alias(name, alias) => {
                let mut request = Value::Object(named(name));
                request["Name"] = alias.as_str().into();
                ("DeleteAlias", request)
            }
            Item::Version(name, Some(number)) => {
                return self.remove_version(name, *number).await;
            }
            Item::Version(_, None)
            | Item::Provisioned(..)
            | Item::Trigger(..)
            | Item::Project(_)
            | Item::Namespace(_) => return Ok(()),
        };
        self.client.call(action, &request).await.map(drop)
    }
}
