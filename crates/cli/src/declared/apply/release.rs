//! Published versions, their provisioned instances, and aliases.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use types::ErrorCode;

use super::again::again;
use super::{Mode, Outcomes, Run, change, invalid, part};
use crate::declared::differences::between;
use crate::declared::model::{Alias, Function, FunctionName, NEWEST, Provisioned};
use crate::declared::observe;
use crate::declared::plan::{self, Act, Change, Item};
use crate::declared::platform::function::{Observed, named};
use crate::declared::platform::{mark, release};
use crate::failure::Failure;

/// What to do where a number cannot be used.
const NUMBERS: &str = "Numbers are not used again; declare it with the next number.";
/// Status of a version that can be called.
const ACTIVE: &str = "Active";

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
        let exists = function.act != Act::Create || self.mode == Mode::Deploy;
        for (number, version) in versions {
            let (item, started) = (Item::Version(name.clone(), Some(*number)), Instant::now());
            let done = again(async || self.version(name, wanted, *number, version, exists).await).await;
            complete &= outcomes.add(self, item, started, done);
        }
        complete
    }

    /// A version by its number; `exists` says whether the function may be there.
    async fn version(
        &self,
        name: &FunctionName,
        function: &Function,
        number: u32,
        version: &Function,
        exists: bool,
    ) -> anyhow::Result<Change> {
        if exists && let Some(change) = self.published_already(name, number, version).await? {
            return Ok(change);
        }
        if self.mode == Mode::Deploy {
            let made = self.make_version(name, function, number, version).await;
            // Another deploy may have been first.
            if made.is_err()
                && let Some(change) = self.published_already(name, number, version).await?
            {
                return Ok(change);
            }
            made?;
        }
        let differences = between(&serde_json::json!({}), &version.clone().trimmed().into_version());
        Ok(Change { item: Item::Version(name.clone(), Some(number)), act: Act::Create, differences })
    }

    /// A published version is what it is; `None` where it is not there.
    async fn published_already(
        &self,
        name: &FunctionName,
        number: u32,
        wanted: &Function,
    ) -> anyhow::Result<Option<Change>> {
        let Some(there) = observe::version(self.client, name, number).await? else { return Ok(None) };
        let differences = version_differences(&there.function, wanted);
        if let Some(first) = differences.first() {
            let message = format!(
                "version {number} of {name} is published and cannot be changed: `{}` is {} and should be {}",
                first.field, first.from, first.to
            );
            return Err(invalid(message, "Declare another version with the next number."));
        }
        if self.mode == Mode::Deploy && there.status != ACTIVE {
            self.active(name, Some(number)).await?;
        }
        Ok(Some(change(Item::Version(name.clone(), Some(number)), differences)))
    }

    async fn make_version(
        &self,
        name: &FunctionName,
        function: &Function,
        number: u32,
        version: &Function,
    ) -> anyhow::Result<()> {
        if let Some(newest) = observe::newest(self.client, name).await?.filter(|newest| *newest >= number) {
            let message = format!("version {number} of {name} cannot be made: version {newest} was published already");
            return Err(invalid(message, NUMBERS));
        }
        let there = self.settle(name, &version.clone().within(function)).await?;
        let description = version.description.clone().unwrap_or_default();
        let made = self.publish(name, &there, Some(number), &description).await;
        made.map(drop).map_err(|error| match Failure::of(&error).api_code() {
            Some(code) if code == ErrorCode::INVALID_VALUE.name => Failure::of(&error).with_hint(NUMBERS).into(),
            _ => error,
        })
    }

    /// Publishes what was seen of the function, and nothing else, and returns the number.
    async fn publish(
        &self,
        name: &FunctionName,
        there: &Observed,
        number: Option<u32>,
        description: &str,
    ) -> anyhow::Result<u32> {
        let mut request = Value::Object(named(name));
        request["Description"] = mark::with(description, &self.file.project, &name.to_string()).into();
        request["RevisionId"] = there.revision.as_str().into();
        if let Some(number) = number {
            request["FunctionVersion"] = number.to_string().into();
        }
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

    /// The newest version, after publishing one if the declaration asks for that.
    async fn newest(&self, name: &FunctionName, wanted: &Function) -> anyhow::Result<(Option<u32>, Option<Change>)> {
        if wanted.publish != Some(true) {
            return Ok((observe::newest(self.client, name).await?, None));
        }
        // Before the versions, so that one that is published meanwhile is not published again.
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
