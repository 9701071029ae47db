//! Deploys and compares a function: image and settings, and the versions to publish before them.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::again::{self, again};
use super::wait::{DELETING, is_preparing};
use super::{Mode, Outcomes, Run, invalid};
use crate::declared::model::{Function, FunctionName};
use crate::declared::observe;
use crate::declared::plan::{self, Act, Change, Item};
use crate::declared::platform::function::{self as requests, Observed, named};
use crate::declared::platform::image;
use crate::failure::{Exit, Failure};

/// Most updates until a function is as declared; more than one is needed only if it is changed
/// concurrently.
const SETTLES_MAX: usize = 4;

impl Run<'_> {
    /// Handles a function with its versions, provisioned instances and aliases; returns whether all
    /// of it succeeded.
    pub(super) async fn function(&self, name: &FunctionName, declared: &Function, outcomes: &mut Outcomes) -> bool {
        let (item, started) = (Item::Function(name.clone()), Instant::now());
        let first = again(async || self.first_look(name, declared).await).await;
        let (wanted, versions, change) = match first {
            Ok(first) => first,
            Err(error) => {
                outcomes.add(self, item, started, Err(error));
                self.leave_parts(name, declared, outcomes);
                return false;
            }
        };
        let mut complete = self.missing_versions(name, &wanted, &versions, &change, outcomes).await;
        let started = Instant::now();
        let done = match self.mode {
            Mode::Compare => Ok(change),
            Mode::Deploy => again(async || self.settle(name, &wanted).await).await.map(|_| change),
        };
        let exists = done.as_ref().is_ok_and(|change| change.act != Act::Create || self.mode == Mode::Deploy);
        if !outcomes.add(self, item, started, done) {
            self.leave_parts(name, declared, outcomes);
            return false;
        }
        complete &= self.releases(name, &wanted, &versions, exists, outcomes).await;
        complete
    }

    /// Returns the normalized declaration, its versions by number, and the function's change.
    async fn first_look(
        &self,
        name: &FunctionName,
        declared: &Function,
    ) -> anyhow::Result<(Function, BTreeMap<u32, Function>, Change)> {
        let wanted = self.normal(declared)?;
        let mut versions = BTreeMap::new();
        for (number, version) in declared.versions.iter().flatten() {
            let version = Function { kind: wanted.kind, websocket: wanted.websocket, ..version.0.clone() };
            versions.insert(number.0, self.normal(&version)?);
        }
        let observed = self.look(name).await?;
        let change = plan::function(name, &wanted, observed.as_ref());
        Ok((wanted, versions, change))
    }

    /// Reads the function; fails if it belongs to another project. A deploy waits for the end of a
    /// concurrent change or deletion.
    async fn look(&self, name: &FunctionName) -> anyhow::Result<Option<Observed>> {
        let mut observed = observe::function(self.client, name).await?;
        if self.mode == Mode::Deploy && observed.as_ref().is_some_and(|there| is_preparing(&there.status)) {
            match self.settled(name, None).await {
                Err(error) if Failure::is_not_found(&error) => {}
                settled => drop(settled?),
            }
            observed = observe::function(self.client, name).await?;
        }
        let observed = observed.filter(|there| there.status != DELETING);
        let project = observed.as_ref().and_then(|there| there.project.as_deref());
        self.refuse_foreign(&Item::Function(name.clone()), project)?;
        Ok(observed)
    }

    /// Creates or updates the function until it is as declared; returns the observed state.
    pub(super) async fn settle(&self, name: &FunctionName, wanted: &Function) -> anyhow::Result<Observed> {
        let mut differs = None;
        for _ in 0..SETTLES_MAX {
            let Some(observed) = self.look(name).await? else {
                self.create(name, wanted).await?;
                continue;
            };
            let change = plan::function(name, wanted, Some(&observed));
            if change.act == Act::Keep && !observed.status.ends_with("Failed") {
                return Ok(observed);
            }
            if let Some(fixed) = plan::unchangeable(&change.differences) {
                let message = format!(
                    "function {name}: `{}` is {} and should be {}, but cannot be changed",
                    fixed.field, fixed.from, fixed.to
                );
                return Err(invalid(message, "Delete the function first, or declare its current value."));
            }
            self.update(name, wanted, &observed, plan::parts(&change.differences)).await?;
            differs = change.differences.into_iter().next();
        }
        let what = differs.map(|field| format!(": `{}` is {} and should be {}", field.field, field.from, field.to));
        let message = format!("function {name} differs again after its change{}", what.unwrap_or_default());
        Err(Failure::new(Exit::Failed, message, again::HINT).into())
    }

    async fn create(&self, name: &FunctionName, wanted: &Function) -> anyhow::Result<()> {
        let uri = image::full(&wanted.image, self.client.registry())?;
        let request = requests::creation(name, wanted, &self.file.project, &uri);
        self.client.call("CreateFunction", &request).await?;
        self.active(name, None).await?;
        let parts = plan::Parts { events: true, reserved: wanted.reserved.is_some(), ..plan::Parts::default() };
        self.apart(name, wanted, parts).await
    }

    async fn update(
        &self,
        name: &FunctionName,
        wanted: &Function,
        observed: &Observed,
        parts: plan::Parts,
    ) -> anyhow::Result<()> {
        // A failed change is retried.
        if parts.image || observed.status.ends_with("Failed") {
            let uri = image::full(&wanted.image, self.client.registry())?;
            self.client.call("UpdateFunctionCode", &requests::code_change(name, wanted, &uri)).await?;
        } else if parts.configuration {
            let request = requests::configuration_change(name, wanted);
            self.client.call("UpdateFunctionConfiguration", &request).await?;
        }
        self.active(name, None).await?;
        self.apart(name, wanted, parts).await
    }

    /// Changes settings that have API actions of their own.
    async fn apart(&self, name: &FunctionName, wanted: &Function, parts: plan::Parts) -> anyhow::Result<()> {
        if let Some(events) = wanted.events.as_ref().filter(|_| parts.events) {
            self.client.call("UpdateFunctionEventInvokeConfig", &observe::event_change(name, events)).await?;
        }
        if !parts.reserved {
            return Ok(());
        }
        let mut request = named(name);
        let action = match wanted.reserved {
            Some(mb) => {
                request.insert("ReservedConcurrencyMem".to_owned(), mb.into());
                "PutReservedConcurrencyConfig"
            }
            None => "DeleteReservedConcurrencyConfig",
        };
        self.client.call(action, &Value::Object(request)).await.map(drop)
    }

    /// Records the versions and aliases of a failed function as skipped.
    fn leave_parts(&self, name: &FunctionName, declared: &Function, outcomes: &mut Outcomes) {
        let seen: Vec<Item> = outcomes.list.iter().map(|outcome| outcome.change.item.clone()).collect();
        let versions = declared.versions.iter().flatten().map(|(n, _)| Item::Version(name.clone(), Some(n.0)));
        let aliases = declared.aliases.iter().flatten().map(|(alias, _)| Item::Alias(name.clone(), alias.clone()));
        versions.chain(aliases).filter(|item| !seen.contains(item)).for_each(|item| outcomes.leave(item));
    }
}
