//! Waits for pending changes of functions and versions.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Run;
use crate::declared::model::FunctionName;
use crate::declared::platform::function::named;
use crate::failure::{Exit, Failure};
use crate::{output, terminal};

/// Polling interval while a change is pending.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Status of a function that is being deleted.
pub(super) const DELETING: &str = "Deleting";

impl Run<'_> {
    /// Waits until no change of the function or version is pending; fails unless it is active then.
    pub(super) async fn active(&self, name: &FunctionName, version: Option<u32>) -> anyhow::Result<()> {
        let function = self.settled(name, version).await?;
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

    pub(super) async fn settled(&self, name: &FunctionName, version: Option<u32>) -> anyhow::Result<Value> {
        let spinner = output::spinner(self.format, format!("preparing {name}"));
        let deadline = Instant::now() + self.wait_timeout;
        let mut request = Value::Object(named(name));
        if let Some(number) = version {
            request["Qualifier"] = number.to_string().into();
        }
        loop {
            let function = self.client.call("GetFunction", &request).await?;
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

/// Whether a status is that of a pending change.
pub(super) fn is_preparing(status: &str) -> bool {
    matches!(status, "Creating" | "Updating" | "Publishing" | DELETING)
}
