//! Deploys and compares triggers and custom domains.

use std::time::Instant;

use super::again::again;
use super::{Mode, Outcomes, Run, change};
use crate::declared::differences::between;
use crate::declared::model::{Domain, Function, FunctionName, Trigger};
use crate::declared::observe;
use crate::declared::plan::{Act, Change, Item};
use crate::declared::platform::entry;

impl Run<'_> {
    /// Handles the triggers of a function; skips them if the function failed (`left`).
    pub(super) async fn triggers(&self, name: &FunctionName, function: &Function, left: bool, outcomes: &mut Outcomes) {
        for (key, declared) in function.triggers.iter().flatten() {
            let (item, started) = (Item::Trigger(name.clone(), key.clone()), Instant::now());
            if left {
                outcomes.leave(item);
                continue;
            }
            let wanted = declared.clone().filled(key);
            let done = again(async || self.trigger(name, &item, &wanted).await).await;
            outcomes.add(self, item, started, done);
        }
    }

    async fn trigger(&self, name: &FunctionName, item: &Item, wanted: &Trigger) -> anyhow::Result<Change> {
        let there = observe::triggers(self.client, name).await?.remove(&wanted.key());
        let Some((there, project)) = there else {
            if self.mode == Mode::Deploy {
                let request = entry::trigger_request(name, wanted, Some(&self.file.project), self.client.key_pair().1);
                self.client.call("CreateTrigger", &request).await?;
            }
            let differences = between(&serde_json::json!({}), &wanted.clone().trimmed(&wanted.key().name));
            let differences = entry::without_secrets(differences);
            return Ok(Change { item: item.clone(), act: Act::Create, differences });
        };
        self.refuse_foreign(item, project.as_deref())?;
        let (declared, observed) = entry::comparable(wanted, &there);
        let mut differences = entry::without_secrets(between(&observed, &declared));
        if project.is_some() {
            differences.extend(entry::secrets_difference(name, wanted, &there, self.client.key_pair().1));
        }
        if !differences.is_empty() && self.mode == Mode::Deploy {
            let request = entry::trigger_request(name, wanted, project.as_deref(), self.client.key_pair().1);
            self.client.call("UpdateTrigger", &request).await?;
        }
        Ok(change(item.clone(), differences))
    }

    /// Handles a domain.
    pub(super) async fn domain(&self, name: &str, declared: &Domain, outcomes: &mut Outcomes) {
        let (item, started) = (Item::Domain(name.to_owned()), Instant::now());
        let wanted = declared.clone().filled();
        let done = again(async || self.changed_domain(name, &item, &wanted).await).await;
        outcomes.add(self, item, started, done);
    }

    async fn changed_domain(&self, name: &str, item: &Item, wanted: &Domain) -> anyhow::Result<Change> {
        let Some((there, project)) = observe::domain(self.client, name).await? else {
            if self.mode == Mode::Deploy {
                let request = entry::domain_request(name, wanted, Some(&self.file.project));
                self.client.call("CreateCustomDomain", &request).await?;
            }
            let differences = between(&serde_json::json!({}), &wanted.clone().trimmed());
            return Ok(Change { item: item.clone(), act: Act::Create, differences });
        };
        self.refuse_foreign(item, project.as_deref())?;
        let differences = between(&there, wanted);
        if !differences.is_empty() && self.mode == Mode::Deploy {
            self.client.call("UpdateCustomDomain", &entry::domain_request(name, wanted, None)).await?;
        }
        Ok(change(item.clone(), differences))
    }
}
