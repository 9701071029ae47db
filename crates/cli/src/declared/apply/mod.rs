//! Deploys declarations, or reports differences from them, item by item: functions with their
//! versions and aliases, then triggers, then domains, so that each item's dependencies exist.

mod again;
mod entry;
mod function;
mod need;
mod prune;
mod release;
mod version;
mod wait;

use std::time::{Duration, Instant};

use serde_json::json;

use super::model::{File, Function, FunctionName};
use super::order;
use super::plan::{Act, Change, Item};
use super::platform::image;
use super::report::{self, Outcome};
use crate::args::Output;
use crate::client::{Client, is_away};
use crate::failure::{Exit, Failure};
use crate::output;

/// Whether to remove differences or only report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Deploy,
    /// Reports differences and changes nothing.
    Compare,
}

/// One deploy of a file, or one comparison with it.
pub struct Run<'a> {
    pub client: &'a Client,
    pub file: &'a File,
    pub format: Output,
    pub wait_timeout: Duration,
    pub mode: Mode,
    /// Whether to remove items that the project created and no longer declares.
    pub prune: bool,
    /// Whether to print no lines about items.
    pub quiet: bool,
}

/// Outcomes of the items so far.
#[derive(Default)]
pub struct Outcomes {
    pub list: Vec<Outcome>,
    first: Option<Failure>,
    /// Whether the platform is unreachable; remaining items are skipped.
    away: bool,
}

impl Outcomes {
    /// Adds and reports the outcome of a step that began at `started`; returns whether it
    /// succeeded.
    fn add(&mut self, run: &Run<'_>, item: Item, started: Instant, done: anyhow::Result<Change>) -> bool {
        let away = done.as_ref().err().is_some_and(is_away);
        if away && std::mem::replace(&mut self.away, true) {
            self.leave(item);
            return false;
        }
        let failure = done.as_ref().err().map(Failure::of);
        let change = done.unwrap_or_else(|_| Change { item, act: Act::Keep, differences: Vec::new() });
        let error = failure.as_ref().map(Failure::to_string);
        let outcome = Outcome { change, error, left: false, elapsed_ms: started.elapsed().as_millis() as u64 };
        if !run.quiet {
            run.report(&outcome, failure.as_ref());
        }
        self.list.push(outcome);
        let succeeded = failure.is_none();
        self.first = self.first.take().or(failure);
        succeeded
    }

    /// Adds an item that is skipped because of an earlier failure.
    fn leave(&mut self, item: Item) {
        let change = Change { item, act: Act::Keep, differences: Vec::new() };
        self.list.push(Outcome { change, error: None, left: true, elapsed_ms: 0 });
    }
}

impl Run<'_> {
    /// Handles all items. After a deploy with changes, compares everything once more.
    pub async fn run(&self) -> anyhow::Result<()> {
        let outcomes = self.pass().await;
        let made = outcomes.list.iter().any(|outcome| outcome.change.act != Act::Keep);
        let changed = match self.mode {
            Mode::Deploy if made && outcomes.first.is_none() => self.changed_meanwhile().await,
            _ => None,
        };
        self.conclude(outcomes, changed)
    }

    /// Handles all items; a failed one skips only the items that depend on it.
    async fn pass(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let mut failed = Vec::new();
        self.namespaces(&mut outcomes).await;
        let order = order::of(&self.file.functions);
        if self.mode == Mode::Deploy && !outcomes.away {
            self.close_circles(&order).await;
        }
        for name in order {
            if outcomes.away {
                outcomes.leave(Item::Function(name.clone()));
                failed.push(name);
            } else if !self.function(name, &self.file.functions[name], &mut outcomes).await {
                failed.push(name);
            }
        }
        for (name, function) in &self.file.functions {
            let left = outcomes.away || failed.contains(&name);
            self.triggers(name, function, left, &mut outcomes).await;
        }
        for (name, domain) in &self.file.domains {
            if outcomes.away {
                outcomes.leave(Item::Domain(name.clone()));
            } else {
                self.domain(name, domain, &mut outcomes).await;
            }
        }
        if self.prune && !outcomes.away {
            self.prune(&mut outcomes).await;
        }
        outcomes
    }

    fn report(&self, outcome: &Outcome, failure: Option<&Failure>) {
        if self.mode == Mode::Deploy || failure.is_some() {
            report::outcome(outcome, failure, self.format);
        } else if self.format == Output::Text {
            report::change(&outcome.change);
        }
    }

    /// Failure for items that another deploy or a user changed during this deploy.
    async fn changed_meanwhile(&self) -> Option<Failure> {
        let look = Run { mode: Mode::Compare, prune: false, quiet: true, ..*self };
        let Outcomes { list, first, .. } = look.pass().await;
        let others: Vec<String> = list.iter().filter_map(Outcome::difference).collect();
        if others.is_empty() {
            let failed = |failure: Failure| {
                let message = format!("deployed, but the result could not be verified: {failure}");
                Failure::new(failure.exit(), message, "Check it with `sampan diff -f`, and deploy again.")
            };
            return first.map(failed);
        }
        let message = format!("deployed resources were changed concurrently: {}", others.join("; "));
        Some(Failure::new(Exit::Failed, message, "Deploy again when the other change is over."))
    }

    fn conclude(&self, outcomes: Outcomes, changed: Option<Failure>) -> anyhow::Result<()> {
        let Outcomes { mut list, first, .. } = outcomes;
        let named = |of: &dyn Fn(&Outcome) -> bool| {
            let items: Vec<String> = list.iter().filter(|o| of(o)).map(|o| o.change.item.to_string()).collect();
            (items.len(), items.join(", "))
        };
        let ((failures, failed), (lefts, left)) = (named(&|o| o.error.is_some()), named(&|o| o.left));
        let all = list.len();
        let different = list.iter().filter(|outcome| outcome.change.act != Act::Keep).count();
        if self.format == Output::Json {
            let project = &self.file.project;
            match self.mode {
                Mode::Deploy => output::json(&json!({"project": project, "items": list}))?,
                Mode::Compare => {
                    list.retain(|outcome| outcome.change.act != Act::Keep);
                    let changes: Vec<&Change> = list.iter().map(|outcome| &outcome.change).collect();
                    output::json(&json!({"project": project, "changes": changes}))?;
                }
            }
        }
        if let Some(first) = first {
            let left =
                if lefts == 0 { String::new() } else { format!("; {lefts} dependent items were skipped: {left}") };
            let message = format!("{failures} of {all} items failed: {failed}{left}");
            let hint = match self.mode {
                Mode::Deploy => "The other items are as declared; fix the cause and deploy again.",
                Mode::Compare => "The other items were compared, and nothing was changed.",
            };
            return Err(Failure::new(first.exit(), message, hint).into());
        }
        if let Some(changed) = changed {
            return Err(changed.into());
        }
        if self.mode == Mode::Compare && different > 0 {
            let message = format!("{different} declared items differ from the platform");
            return Err(Failure::new(Exit::Usage, message, "Deploy the declaration with `sampan deploy -f`.").into());
        }
        Ok(())
    }

    /// Normalizes a function for comparison: full image name, and every default explicit.
    fn normal(&self, function: &Function) -> anyhow::Result<Function> {
        let image = image::normal(&function.image, self.client.registry())?;
        Ok(Function { image, ..function.clone() }.filled())
    }

    /// Returns an error if another project created the item.
    fn refuse_foreign(&self, item: &Item, project: Option<&str>) -> anyhow::Result<()> {
        match project.filter(|project| *project != self.file.project) {
            None => Ok(()),
            Some(other) => {
                let message = format!("{item} belongs to the project {other}");
                let hint = "Declare it there, or delete it first.";
                Err(Failure::new(Exit::Usage, message, hint).into())
            }
        }
    }
}

/// Change of an existing item; `Keep` without differences.
fn change(item: Item, differences: Vec<super::differences::Difference>) -> Change {
    let act = if differences.is_empty() { Act::Keep } else { Act::Update };
    Change { item, act, differences }
}

/// Failure caused by a declaration.
fn invalid(message: String, hint: &str) -> anyhow::Error {
    Failure::new(Exit::Usage, message, hint).into()
}

/// Name of a part of a function.
fn part(name: &FunctionName, of: &str) -> String {
    format!("{name}:{of}")
}
