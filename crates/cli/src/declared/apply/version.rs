//! Publishes declared versions by number, each by first updating the function to the version's
//! state.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use types::ErrorCode;

use super::again::{self, again};
use super::{Mode, Outcomes, Run, change, invalid};
use crate::declared::differences::{Difference, between};
use crate::declared::model::{Function, FunctionName};
use crate::declared::observe;
use crate::declared::plan::{self, Act, Change, Item};
use crate::declared::platform::function::{Observed, named};
use crate::declared::platform::mark;
use crate::failure::{Exit, Failure};

/// Remedy for a number that cannot be used.
const NUMBERS: &str = "Version numbers are not reused; declare it with the next number.";
/// Status of a version that can be called.
pub(super) const ACTIVE: &str = "Active";

impl Run<'_> {
    /// Compares existing versions, and publishes missing ones by updating the function to each
    /// version's state; returns whether all succeeded.
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
        let mut seen = Vec::new();
        for (number, version) in versions {
            let (item, started) = (Item::Version(name.clone(), Some(*number)), Instant::now());
            let done =
                again(async || self.version(name, wanted, *number, version, exists.then_some(&seen)).await).await;
            seen.extend(done.is_ok().then_some(*number));
            complete &= outcomes.add(self, item, started, done);
        }
        complete
    }

    /// Handles a version by its number. `seen` are the versions known to exist; `None` if the
    /// function does not exist.
    async fn version(
        &self,
        name: &FunctionName,
        function: &Function,
        number: u32,
        version: &Function,
        seen: Option<&Vec<u32>>,
    ) -> anyhow::Result<Change> {
        if seen.is_some()
            && let Some(change) = self.published_already(name, number, version).await?
        {
            return Ok(change);
        }
        if self.mode == Mode::Deploy {
            let made = self.make_version(name, function, number, version, seen.map_or(&[], Vec::as_slice)).await;
            // Another deploy may have published it first.
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

    /// Compares a published version, which is immutable; `None` if it does not exist.
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
        seen: &[u32],
    ) -> anyhow::Result<()> {
        if let Some(newest) = observe::newest(self.client, name).await?.filter(|newest| *newest >= number) {
            let message = format!("cannot publish version {number} of {name}: version {newest} is published already");
            return Err(invalid(message, NUMBERS));
        }
        let there = self.settle(name, &version.clone().within(function)).await?;
        // If the function was deleted and created anew, lower versions are missing and could not be
        // published after this one.
        let versions = observe::versions(self.client, name).await?;
        if let Some(gone) = seen.iter().find(|seen| !versions.contains_key(seen)) {
            let message = format!("version {gone} of {name} was deleted during the deploy");
            return Err(Failure::new(Exit::Failed, message, again::HINT).into());
        }
        let description = version.description.clone().unwrap_or_default();
        let made = self.publish(name, &there, Some(number), &description).await;
        made.map(drop).map_err(|error| match Failure::of(&error).api_code() {
            Some(code) if code == ErrorCode::INVALID_VALUE.name => Failure::of(&error).with_hint(NUMBERS).into(),
            _ => error,
        })
    }

    /// Publishes exactly the observed revision of the function; returns the version's number.
    pub(super) async fn publish(
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
}

/// Differences of an existing version from the declared one.
pub(super) fn version_differences(there: &Function, wanted: &Function) -> Vec<Difference> {
    let there = plan::comparable(there, wanted).into_version();
    between(&there, &wanted.clone().into_version())
}
