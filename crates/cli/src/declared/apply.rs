//! `sampan deploy -f`: makes an installation what a file declares, one item after the other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::model::{File, Function, FunctionName};
use super::plan::{self, Act, Change};
use super::platform::function::{self as requests, Observed, named};
use super::platform::image;
use super::report::Outcome;
use super::{observe, report};
use crate::args::Output;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{output, terminal};

/// Polling interval for a function that is being prepared.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A deploy of a file.
pub struct Deploy<'a> {
    pub client: &'a Client,
    pub file: &'a File,
    pub format: Output,
    pub wait_timeout: Duration,
}

impl Deploy<'_> {
    /// Deploys everything; what fails does not keep the rest from being deployed.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        let mut first: Option<Failure> = None;
        for (name, function) in &self.file.functions {
            let started = Instant::now();
            let item = plan::Item::Function(name.clone());
            let done = self.function(name, function).await;
            let failure = done.as_ref().err().map(Failure::of);
            let change = done.unwrap_or_else(|_| Change { item, act: Act::Keep, differences: Vec::new() });
            let error = failure.as_ref().map(Failure::to_string);
            let outcome = Outcome { change, error, elapsed_ms: started.elapsed().as_millis() as u64 };
            report::outcome(&outcome, failure.as_ref(), self.format);
            outcomes.push(outcome);
            first = first.or(failure);
        }
        if self.format == Output::Json {
            output::json(&json!({"project": self.file.project, "items": outcomes}))?;
        }
        let failed: Vec<String> =
            outcomes.iter().filter(|o| o.error.is_some()).map(|o| o.change.item.to_string()).collect();
        match first {
            None => Ok(()),
            Some(first) => {
                let message = format!("{} of {} items failed: {}", failed.len(), outcomes.len(), failed.join(", "));
                Err(Failure::new(first.exit(), message, "The others are as declared; deploy again once it is mended.")
                    .into())
            }
        }
    }

    async fn function(&self, name: &FunctionName, declared: &Function) -> anyhow::Result<Change> {
        let own = self.client.registry();
        let uri = image::full(&declared.image, own)?;
        let declared = Function { image: image::short(&uri, own), ..declared.clone() }.filled();
        let mut observed = observe::function(self.client, name).await?;
        if observed.as_ref().is_some_and(is_pending) {
            self.settled(name).await?;
            observed = observe::function(self.client, name).await?;
        }
        let change = plan::function(name, &declared, observed.as_ref());
        if let Some(fixed) = plan::unchangeable(&change.differences).filter(|_| change.act == Act::Update) {
            let message = format!(
                "function {name}: `{}` is {} and should be {}, but cannot be changed",
                fixed.field, fixed.from, fixed.to
            );
            let hint = "Delete the function first, or declare what it has.";
            return Err(Failure::new(Exit::Usage, message, hint).into());
        }
        let Some(observed) = observed else {
            let request = requests::creation(name, &declared, &self.file.project, &uri);
            self.client.call("CreateFunction", &request).await?;
            self.active(name).await?;
            self.apart(
                name,
                &declared,
                plan::Parts { events: true, reserved: declared.reserved.is_some(), ..plan::Parts::default() },
            )
            .await?;
            return Ok(change);
        };
        let parts = plan::parts(&change.differences);
        // A change that failed is tried again.
        if parts.image || observed.status.ends_with("Failed") {
            self.client.call("UpdateFunctionCode", &requests::code_change(name, &declared, &uri)).await?;
        } else if parts.configuration {
            let request = requests::configuration_change(name, &declared);
            self.client.call("UpdateFunctionConfiguration", &request).await?;
        }
        self.active(name).await?;
        self.apart(name, &declared, parts).await?;
        Ok(change)
    }

    /// Settings of a function that have actions of their own.
    async fn apart(&self, name: &FunctionName, declared: &Function, parts: plan::Parts) -> anyhow::Result<()> {
        if let Some(events) = declared.events.as_ref().filter(|_| parts.events) {
            self.client.call("UpdateFunctionEventInvokeConfig", &observe::event_change(name, events)).await?;
        }
        if !parts.reserved {
            return Ok(());
        }
        let mut request = named(name);
        let action = match declared.reserved {
            Some(mb) => {
                request.insert("ReservedConcurrencyMem".to_owned(), mb.into());
                "PutReservedConcurrencyConfig"
            }
            None => "DeleteReservedConcurrencyConfig",
        };
        self.client.call(action, &request.into()).await.map(drop)
    }

    /// Waits until no change of the function is being prepared, and fails unless it is active.
    async fn active(&self, name: &FunctionName) -> anyhow::Result<()> {
        let function = self.settled(name).await?;
        let status = function.get("Status").and_then(Value::as_str).unwrap_or_default();
        if status == "Active" {
            return Ok(());
        }
        let reason = |field: &str| {
            let found = function.pointer(&format!("/StatusReasons/0/{field}")).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let message = format!("function {name} is {status}: {}: {}", reason("ErrorCode"), reason("ErrorMessage"));
        Err(Failure::new(Exit::Failed, message, "Fix the cause and deploy again.").into())
    }

    async fn settled(&self, name: &FunctionName) -> anyhow::Result<Value> {
        let spinner = output::spinner(self.format, format!("preparing {name}"));
        let deadline = Instant::now() + self.wait_timeout;
        loop {
            let function = self.client.call("GetFunction", &Value::Object(named(name))).await?;
            let text = |field: &str| function.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let status = text("Status");
            if !is_preparing(&status) {
                spinner.finish_and_clear();
                return Ok(function);
            }
            if Instant::now() >= deadline {
                let message = format!("function {name} is still {status} after {} s", self.wait_timeout.as_secs());
                let hint = "The change continues; check it with `sampan get`.";
                return Err(Failure::new(Exit::Failed, message, hint).into());
            }
            let detail = text("StatusDesc");
            let shown = terminal::line(if detail.is_empty() { &status } else { &detail }).into_owned();
            spinner.set_message(format!("{name}: {shown}"));
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn is_pending(observed: &Observed) -> bool {
    is_preparing(&observed.status)
}

fn is_preparing(status: &str) -> bool {
    matches!(status, "Creating" | "Updating" | "Publishing")
}
