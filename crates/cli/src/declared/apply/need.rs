//! Prerequisites of functions: namespaces, and the first function of a cycle of destinations.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;

use super::again::again;
use super::{Mode, Outcomes, Run};
use crate::declared::model::{DEFAULT_NAMESPACE, Function, FunctionName};
use crate::declared::plan::{Act, Change, Item};
use crate::declared::{observe, order};

impl Run<'_> {
    /// Handles the namespaces of the functions. They have no ownership marks and are never removed.
    pub(super) async fn namespaces(&self, outcomes: &mut Outcomes) {
        let named: BTreeSet<&str> = self.file.functions.keys().map(|name| name.namespace.as_str()).collect();
        for name in named.into_iter().filter(|name| *name != DEFAULT_NAMESPACE) {
            let (item, started) = (Item::Namespace(name.to_owned()), Instant::now());
            match again(async || self.namespace(name).await).await {
                Ok(false) => {}
                Ok(true) => {
                    let change = Change { item: item.clone(), act: Act::Create, differences: Vec::new() };
                    outcomes.add(self, item, started, Ok(change));
                }
                Err(error) => drop(outcomes.add(self, item, started, Err(error))),
            }
        }
    }

    /// Creates the namespace if it is missing; returns whether it was.
    async fn namespace(&self, name: &str) -> anyhow::Result<bool> {
        if observe::namespaces(self.client).await?.iter().any(|there| there == name) {
            return Ok(false);
        }
        if self.mode == Mode::Deploy {
            self.client.call("CreateNamespace", &json!({ "Namespace": name })).await?;
        }
        Ok(true)
    }

    /// Creates missing functions of destination cycles without their own destinations, because one
    /// has to be created first. Errors are ignored here: the same step fails again, and is
    /// reported, when its turn comes.
    pub(super) async fn close_circles(&self, order: &[&FunctionName]) {
        for name in order::needed_before(&self.file.functions, order) {
            let alone = Function { on_success: None, on_failure: None, ..self.file.functions[name].clone() };
            drop(again(async || self.make_alone(name, &alone).await).await);
        }
    }

    async fn make_alone(&self, name: &FunctionName, alone: &Function) -> anyhow::Result<()> {
        match observe::function(self.client, name).await? {
            Some(_) => Ok(()),
            None => self.settle(name, &self.normal(alone)?).await.map(drop),
        }
    }
}
