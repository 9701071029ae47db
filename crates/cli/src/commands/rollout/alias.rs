//! Changes a rollout's alias and detects concurrent changes.

use anyhow::Context;
use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::{Exit, Failure};

/// Weights have six decimal places.
const WEIGHT_PRECISION: f64 = 1e-6;

/// Target of an alias: a version, and optionally a share of calls to another one.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasTarget {
    main: String,
    additional: Option<(String, f64)>,
}

impl AliasTarget {
    /// All calls to one version.
    pub fn all_to(version: &str) -> Self {
        Self { main: version.to_owned(), additional: None }
    }

    /// `percent` of calls to `to`, the rest to `from`.
    pub fn share(from: &str, to: &str, percent: f64) -> Self {
        if percent >= 100.0 {
            return Self::all_to(to);
        }
        Self { main: from.to_owned(), additional: Some((to.to_owned(), percent / 100.0)) }
    }

    /// Reads the target from the API's answer; `None` for an alias with a header rule.
    fn of(alias: &Value) -> Option<Self> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        if alias.pointer("/RoutingConfig/AddtionVersionMatchs/0").is_some() {
            return None;
        }
        let weight = alias.pointer("/RoutingConfig/AdditionalVersionWeights/0");
        let additional = match weight {
            Some(weight) => Some((text(weight, "Version")?, weight.get("Weight")?.as_f64()?)),
            None => None,
        };
        Some(Self { main: text(alias, "FunctionVersion")?, additional })
    }

    fn is(&self, other: &Self) -> bool {
        self.main == other.main
            && match (&self.additional, &other.additional) {
                (None, None) => true,
                (Some((a, x)), Some((b, y))) => a == b && (x - y).abs() < WEIGHT_PRECISION,
                _ => false,
            }
    }
}

/// Error: the alias was changed concurrently.
#[derive(Debug, thiserror::Error)]
#[error("alias {0} was changed concurrently and is left unchanged")]
struct ChangedConcurrently(String);

/// Whether an error is a concurrent change of the alias.
pub fn is_concurrent_change(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ChangedConcurrently>().is_some()
}

/// Changes one alias.
pub struct AliasUpdater<'a> {
    client: &'a Client,
    name: Value,
    alias: String,
    /// Targets that the alias may have without a concurrent change: the original or last set one,
    /// and those of requests whose answer may have been lost.
    known: Vec<AliasTarget>,
}

impl<'a> AliasUpdater<'a> {
    /// Reads the alias; also returns its current version.
    pub async fn begin(
        client: &'a Client,
        function: &str,
        namespace: &str,
        alias: &str,
        to: &str,
    ) -> anyhow::Result<(Self, String)> {
        let name = json!({"FunctionName": function, "Namespace": namespace, "Name": alias});
        let found = client.call("GetAlias", &name).await?;
        let occupied = |what: &str| {
            let message = format!("alias {alias} of {function} routes {what}, which a rollout would remove");
            let hint = format!("Point it to one version first: `sampan alias update {function} {alias} --version …`.");
            Failure::new(Exit::Usage, message, hint)
        };
        let target = AliasTarget::of(&found).ok_or_else(|| occupied("some calls by a header"))?;
        if let Some((version, _)) = target.additional.as_ref().filter(|(version, _)| version != to) {
            return Err(occupied(&format!("a share of the calls to version {version}")).into());
        }
        let from = target.main.clone();
        Ok((Self { client, name, alias: alias.to_owned(), known: vec![target] }, from))
    }

    /// Sets the target; returns the time of the change, in the installation's local time.
    pub async fn set(&mut self, to: AliasTarget) -> anyhow::Result<String> {
        let found = AliasTarget::of(&self.client.call("GetAlias", &self.name).await?);
        if !found.is_some_and(|found| self.known.iter().any(|known| known.is(&found))) {
            return Err(ChangedConcurrently(self.alias.clone()).into());
        }
        let mut request = self.name.clone();
        request["FunctionVersion"] = to.main.as_str().into();
        let weights: Vec<Value> =
            to.additional.iter().map(|(version, share)| json!({"Version": version, "Weight": share})).collect();
        request["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
        self.known.push(to.clone());
        self.client.call("UpdateAlias", &request).await?;
        self.known = vec![to];
        let led = self.client.call("GetAlias", &self.name).await?;
        let since = led.get("ModTime").and_then(Value::as_str);
        since.map(str::to_owned).context("the answer of GetAlias has no ModTime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_an_alias_is_parsed() {
        let shown = |weights: Value| json!({"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": weights, "AddtionVersionMatchs": []}});
        let some = AliasTarget::of(&shown(json!([{"Version": "2", "Weight": 0.05}]))).expect("weights");
        assert!(some.is(&AliasTarget::share("1", "2", 5.0)) && !some.is(&AliasTarget::share("1", "2", 6.0)));
        let none = AliasTarget::of(&shown(json!([]))).expect("a version");
        assert!(none.is(&AliasTarget::all_to("1")) && !none.is(&some));
        assert!(AliasTarget::share("1", "2", 100.0).is(&AliasTarget::all_to("2")));
        let rule = json!({"FunctionVersion": "1", "RoutingConfig": {"AddtionVersionMatchs": [{"Version": "2"}]}});
        assert_eq!(AliasTarget::of(&rule), None);
    }
}
