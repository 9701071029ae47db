//! Published versions, their provisioned instances, and aliases.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::{Mode, Outcomes, Run, change, invalid, part};
use crate::declared::differences::between;
use crate::declared::model::{Alias, Function, FunctionName, NEWEST, Provisioned};
use crate::declared::observe;
use crate::declared::plan::{self, Act, Change, Item};
use crate::declared::platform::function::named;
use crate::declared::platform::{mark, release};

/// Numbers that are passed over to reach the number of a version.
const PASSED_OVER_MAX: u32 = 100;

impl Run<'_> {
    /// Compares the versions that are there, and publishes those that are not, each by making the
    /// function what the version is; whether all are as declared.
    pub(super) async fn missing_versions(
        &self,
        name: &FunctionName,
        wanted: &Function,
        versions: &BTreeMap<u32, Function>,
        function: &Change,
        outcomes: &mut Outcomes,
    ) -> bool {
        let mut complete = true;
        for (number, version) in versions {
            let (item, started) = (Item::Version(name.clone(), Some(*number)), Instant::now());
            let there = match function.act {
                Act::Create if self.mode == Mode::Compare => Ok(None),
                _ => observe::version(self.client, name, *number).await,
            };
            let done = match there {
                Err(error) => Err(error),
                Ok(Some(there)) => published_already(name, *number, version, &there),
                Ok(None) => {
                    let differences = between(&serde_json::json!({}), &version.clone().trimmed().into_version());
                    let change = Change { item: item.clone(), act: Act::Create, differences };
                    let made = match self.mode {
                        Mode::Compare => Ok(()),
                        Mode::Deploy => self.make_version(name, wanted, *number, version).await,
                    };
                    made.map(|()| change)
                }
            };
            complete &= outcomes.add(self, item, started, done);
        }
        complete
    }

    async fn make_version(
        &self,
        name: &FunctionName,
        function: &Function,
        number: u32,
        version: &Function,
    ) -> anyhow::Result<()> {
        if let Some(newest) = observe::newest(self.client, name).await?.filter(|newest| *newest >= number) {
            return Err(gone(name, number, newest));
        }
        self.settle(name, &version.clone().within(function)).await?;
        let description = version.description.clone().unwrap_or_default();
        for _ in 0..=PASSED_OVER_MAX {
            let made = self.publish(name, &description).await?;
            if made == number {
                return Ok(());
            }
            self.delete_version(name, made).await?;
            if made > number {
                return Err(gone(name, number, made));
            }
        }
        let message =
            format!("version {number} of {name} is more than {PASSED_OVER_MAX} numbers ahead of the last one");
        Err(invalid(message, "Number versions from 1."))
    }

    /// Publishes what the function serves, and returns the number.
    async fn publish(&self, name: &FunctionName, description: &str) -> anyhow::Result<u32> {
        let mut request = Value::Object(named(name));
        request["Description"] = mark::with(description, &self.file.project).into();
        let answer = self.client.call("PublishVersion", &request).await?;
        let number = answer.get("FunctionVersion").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| anyhow::anyhow!("PublishVersion answers no number"))?;
        self.active(name, Some(number)).await?;
        Ok(number)
    }

    pub(super) async fn delete_version(&self, name: &FunctionName, number: u32) -> anyhow::Result<()> {
        let mut request = Value::Object(named(name));
        request["Qualifier"] = number.to_string().into();
        self.client.call("DeleteFunctionVersion", &request).await.map(drop)
    }

    /// What a function that is as declared has beyond it; `exists` says whether it is there.
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
            match self.newest(name, wanted).await {
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
        // Older versions of a function that publishes are its declaration's too.
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
            match self.provisioned(name, number, wanted, exists, &item).await {
                Ok(None) => {}
                Ok(Some(change)) => complete &= outcomes.add(self, item, started, Ok(change)),
                Err(error) => complete &= outcomes.add(self, item, started, Err(error)),
            }
        }
        for (alias, declared) in wanted.aliases.iter().flatten() {
            let (item, started) = (Item::Alias(name.clone(), alias.clone()), Instant::now());
            let done = self.alias(name, alias, declared, &newest, exists).await;
            complete &= outcomes.add(self, item, started, done);
        }
        complete
    }

    /// The newest version, after publishing one if the declaration asks for that.
    async fn newest(&self, name: &FunctionName, wanted: &Function) -> anyhow::Result<(Option<u32>, Option<Change>)> {
        let newest = observe::newest(self.client, name).await?;
        if wanted.publish != Some(true) {
            return Ok((newest, None));
        }
        let there = match newest {
            Some(number) => observe::version(self.client, name, number).await?,
            None => None,
        };
        let differences = there.map(|there| version_differences(&there, wanted));
        if differences.as_ref().is_some_and(Vec::is_empty) {
            return Ok((newest, None));
        }
        let made = match self.mode {
            Mode::Compare => None,
            Mode::Deploy => Some(self.publish(name, wanted.description.as_deref().unwrap_or_default()).await?),
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
            // That of a function leads somewhere before a file says where.
            let project = project.or_else(|| alias.starts_with('$').then(|| self.file.project.clone()));
            let request = release::alias_request(name, alias, &wanted, project.as_deref());
            self.client.call("UpdateAlias", &request).await?;
        }
        Ok(change(item, differences))
    }
}

/// What separates a version that is there from a declared one.
fn version_differences(there: &Function, wanted: &Function) -> Vec<crate::declared::differences::Difference> {
    let there = plan::comparable(there, wanted).into_version();
    between(&there, &wanted.clone().into_version())
}

/// A published version is what it is.
fn published_already(name: &FunctionName, number: u32, wanted: &Function, there: &Function) -> anyhow::Result<Change> {
    let differences = version_differences(there, wanted);
    match differences.first() {
        None => Ok(change(Item::Version(name.clone(), Some(number)), differences)),
        Some(first) => {
            let message = format!(
                "version {number} of {name} is published and cannot be changed: `{}` is {} and should be {}",
                first.field, first.from, first.to
            );
            Err(invalid(message, "Declare another version with the next number."))
        }
    }
}

fn gone(name: &FunctionName, number: u32, later: u32) -> anyhow::Error {
    let message = format!("version {number} of {name} cannot be made: version {later} was published already");
    invalid(message, "Numbers are not used again; declare it with the next number.")
}
