//! Checks of triggers beyond their types.

use serde_json::Value;

use super::check::place;
use super::entry::TIMER;
use super::{Function, Trigger};
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::Node;

/// Keys of the cloud API's TriggerDesc that are keys of a trigger in a file, where they are
/// compared.
const OF_EACH_TYPE: [(&str, &str); 3] =
    [("max_age_s", "max_age"), ("rate_per_minute", "rate"), ("concurrency", "concurrency")];
const OF_TIMERS: [(&str, &str); 2] = [("cron", "cron"), ("zone", "zone")];

impl Function {
    /// Rejects what answers hide, and keys that a trigger has itself, within `desc`.
    pub(super) fn check_triggers(&self, node: &Node) -> Result<(), Error> {
        for (key, trigger) in self.triggers.iter().flatten() {
            let secrets = trigger.desc.get("Secrets").and_then(Value::as_array);
            if secrets.is_some_and(|secrets| secrets.iter().any(|secret| secret == "***")) {
                let at = place(node, &["triggers", key, "desc", "Secrets"]);
                let hint = "Give the secret by a variable: \"${NAME}\".";
                return Err(Error::new(at, "*** is the placeholder of a hidden secret, not its value", hint));
            }
            if let Some((inside, own)) = trigger.misplaced() {
                let message = format!("`{inside}` is not for `desc`: a trigger has a key for it");
                let hint = format!("Write `{own}` beside `desc`.");
                return Err(Error::new(place(node, &["triggers", key, "desc", inside]), message, hint));
            }
        }
        Ok(())
    }
}

impl Trigger {
    /// First key within `desc` that is a key of the trigger itself, and the name it has there.
    fn misplaced(&self) -> Option<(&'static str, &'static str)> {
        let is_timer = self.kind.as_deref().is_none_or(|kind| kind == TIMER);
        let of_timers = OF_TIMERS.iter().filter(|_| is_timer);
        OF_EACH_TYPE.iter().chain(of_timers).find(|(inside, _)| self.desc.contains_key(*inside)).copied()
    }
}
