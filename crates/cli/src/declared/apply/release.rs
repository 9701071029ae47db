//! Deploys and compares a function's newest version, provisioned concurrency and aliases.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::again::again;
use super::version::{ACTIVE, version_differences};
use super::{Mode, Outcomes, Run, change, invalid, part};
use crate::declared::differences::between;
use crate::declared::model::{Alias, Function, FunctionName, NEWEST, Provisioned};
use crate::declared::observe;
use crate::declared::plan::{Act, Change, Item};
use crate::declared::platform::function::named;
use crate::declared::platform::release;

impl Run<'_> {
    /// Handles these parts of a function that is as declared; `exists` is false if a comparison
    /// found no function.
    pub(super) async fn releases(
        &self,
        name: &FunctionName,
        wanted: &Function,
        versions: &BTreeMap<u32, Function>,
        exists: bool,
        outcomes: &mut Outcomes,
    ) -> bool {
        let mut complete = true;
        let mut newest = NEWEST.to_owned();
        if exists {
            let started = Instant::now();
            match again(async || self.newest(name, wanted).await).await {
                Ok((number, change)) => {
                    newest = number.map_or_else(|| NEWEST.to_owned(), |number| number.to_string());
                    if let Some(change) = change {
                        outcomes.add(self, change.item.clone(), started, Ok(change));
                    }
                }
                Err(error) => complete &= outcomes.add(self, Item::Version(name.clone(), None), started, Err(error)),
            }
        } else if wanted.publish == Some(true) {
            let item = Item::Version(name.clone(), None);
            let change = Change { item: item.clone(), act: Act::Create, differences: Vec::new() };
            outcomes.add(self, item, Instant::now(), Ok(change));
        }
        let mut ready: BTreeMap<u32, Option<&Provisioned>> =
            versions.iter().map(|(number, version)| (*number, version.provisioned.as_ref())).collect();
        if let (Some(true), Ok(number)) = (wanted.publish, newest.parse()) {
            ready.entry(number).or_insert(wanted.provisioned.as_ref());
        }
        // With `publish`, provisioned concurrency of older versions is undeclared and removed.
        if exists && wanted.publish == Some(true) {
            match observe::provisioned(self.client, name).await {
                Ok(there) => {
                    for number in there.into_keys() {
                        ready.entry(number).or_insert(None);
                    }
                }
                Err(error) => {
                    let item = Item::Version(name.clone(), None);
                    complete &= outcomes.add(self, item, Instant::now(), Err(error));
                }
            }
        }
        for (number, wanted) in ready {
            let (item, started) = (Item::Provisioned(name.clone(), number), Instant::now());
            match again(async || self.provisioned(name, number, wanted, exists, &item).await).await {
                Ok(None) => {}
                Ok(Some(change)) => complete &= outcomes.add(self, item, started, Ok(change)),
                Err(error) => complete &= outcomes.add(self, item, started, Err(error)),
            }
        }
        for (alias, declared) in wanted.aliases.iter().flatten() {
            let (item, started) = (Item::Alias(name.clone(), alias.clone()), Instant::now());
            let done = again(async || self.alias(name, alias, declared, &newest, exists).await).await;
            complete &= outcomes.add(self, item, started, done);
        }
        complete
    }

    /// Returns the newest version, after publishing one if the declaration has `publish` and it
    /// differs.
    async fn newest(&self, name: &FunctionName, wanted: &Function) -> anyhow::Result<(Option<u32>, Option<Change>)> {
        if wanted.publish != Some(true) {
            return Ok((observe::newest(self.client, name).await?, None));
        }
        // Read before the versions, so that a version published meanwhile is not published again.
        let function = match self.mode {
            Mode::Compare => None,
            Mode::Deploy => Some(self.settle(name, wanted).await?),
        };
        let newest = observe::newest(self.client, name).await?;
        let there = match newest {
            Some(number) => observe::version(self.client, name, number).await?,
            None => None,
        };
        let there = there.filter(|there| !there.status.ends_with("Failed"));
        let differences = there.as_ref().map(|there| version_differences(&there.function, wanted));
        if differences.as_ref().is_some_and(Vec::is_empty) {
            if self.mode == Mode::Deploy && there.is_some_and(|there| there.status != ACTIVE) {
                self.active(name, newest).await?;
            }
            return Ok((newest, None));
        }
        let description = wanted.description.as_deref().unwrap_or_default();
        let made = match function {
            None => None,
            Some(function) => Some(self.publish(name, &function, None, description).await?),
        };
        let item = Item::Version(name.clone(), made);
        let change = Change { item, act: Act::Create, differences: differences.unwrap_or_default() };
        Ok((made, Some(change)))
    }

    async fn provisioned(
        &self,
        name: &FunctionName,
        number: u32,
        wanted: Option<&Provisioned>,
        exists: bool,
        item: &Item,
    ) -> anyhow::Result<Option<Change>> {
        let there = match exists {
            true => observe::provisioned(self.client, name).await?.remove(&number),
            false => None,
        };
        let there = there.map(|there| there.scheduled(wanted));
        let differences = between(&there, &wanted);
        if differences.is_empty() {
            return Ok(None);
        }
        if self.mode == Mode::Deploy {
            let mut off = Value::Object(named(name));
            off["Qualifier"] = number.to_string().into();
            let (action, request) = match wanted {
                Some(wanted) => ("PutProvisionedConcurrencyConfig", release::provisioned_request(name, number, wanted)),
                None => ("DeleteProvisionedConcurrencyConfig", off),
            };
            self.client.call(action, &request).await?;
        }
        Ok(Some(change(item.clone(), differences)))
    }

    async fn alias(
        &self,
        name: &FunctionName,
        alias: &str,
        declared: &Alias,
        newest: &str,
        exists: bool,
    ) -> anyhow::Result<Change> {
        let item = Item::Alias(name.clone(), alias.to_owned());
        let version = if declared.version == NEWEST { newest } else { &declared.version };
        if version == NEWEST && self.mode == Mode::Deploy {
            let message = format!("alias {}: function {name} has no published version", part(name, alias));
            return Err(invalid(message, "Add `publish: true` to the function."));
        }
        let description = Some(declared.description.clone().unwrap_or_default());
        let wanted = Alias { version: version.to_owned(), description, ..declared.clone() };
        let there = if exists { observe::aliases(self.client, name).await?.remove(alias) } else { None };
        let Some((there, project)) = there else {
            if self.mode == Mode::Deploy {
                let request = release::alias_request(name, alias, &wanted, Some(&self.file.project));
                self.client.call("CreateAlias", &request).await?;
            }
            let differences = between(&serde_json::json!({}), &wanted);
            return Ok(Change { item, act: Act::Create, differences });
        };
        self.refuse_foreign(&item, project.as_deref())?;
        let differences = between(&there, &wanted);
        if !differences.is_empty() && self.mode == Mode::Deploy {
            // The function's own alias exists before a file declares it; the project takes it over.
            let project = project.or_else(|| alias.starts_with('$').then(|| self.file.project.clone()));
            let request = release::alias_request(name, alias, &wanted, project.as_deref());
            self.client.call("UpdateAlias", &request).await?;
        }
        Ok(change(item, differences))
    }
}
