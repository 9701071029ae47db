//! Leading the alias, and noticing when somebody else does.

use anyhow::Context;
use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::{Exit, Failure};

/// Weights have six places.
const WEIGHT_PRECISION: f64 = 1e-6;

/// Where an alias leads: a version, and maybe a share of the calls to another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead {
    main: String,
    additional: Option<(String, f64)>,
}

impl Lead {
    /// All calls to one version.
    pub fn all_to(version: &str) -> Self {
        Self { main: version.to_owned(), additional: None }
    }

    /// `percent` of the calls to `to`, the others to `from`.
    pub fn share(from: &str, to: &str, percent: f64) -> Self {
        if percent >= 100.0 {
            return Self::all_to(to);
        }
        Self { main: from.to_owned(), additional: Some((to.to_owned(), percent / 100.0)) }
    }

    /// As the API tells an alias; `None` for one that leads by a rule.
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

/// The alias was changed by somebody else.
#[derive(Debug, thiserror::Error)]
#[error("alias {0} was changed by somebody else meanwhile and is left as it is")]
struct Foreign(String);

/// Whether an error says that the alias is somebody else's now.
pub fn is_foreign(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Foreign>().is_some()
}

/// Leads one alias.
pub struct Leader<'a> {
    client: &'a Client,
    name: Value,
    alias: String,
    /// Where the alias may lead without somebody else having changed it: where it led before, and where it was last led,
    /// of which the answer may have been lost.
    known: Vec<Lead>,
}

impl<'a> Leader<'a> {
    /// Looks where the alias leads; the version that has its calls now comes along.
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
            let message = format!("alias {alias} of {function} leads {what}, which a rollout would take away");
            let hint = format!("Lead it to one version first: `sampan alias update {function} {alias} --version …`.");
            Failure::new(Exit::Usage, message, hint)
        };
        let lead = Lead::of(&found).ok_or_else(|| occupied("some calls by a header"))?;
        if let Some((version, _)) = lead.additional.as_ref().filter(|(version, _)| version != to) {
            return Err(occupied(&format!("a share of the calls to version {version}")).into());
        }
        let from = lead.main.clone();
        Ok((Self { client, name, alias: alias.to_owned(), known: vec![lead] }, from))
    }

    /// Leads the alias there; when that was, in the installation's local time.
    pub async fn lead(&mut self, to: Lead) -> anyhow::Result<String> {
        let found = Lead::of(&self.client.call("GetAlias", &self.name).await?);
        if !found.is_some_and(|found| self.known.iter().any(|known| known.is(&found))) {
            return Err(Foreign(self.alias.clone()).into());
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
    fn an_alias_is_read_as_it_is_led() {
        let shown = |weights: Value| json!({"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": weights, "AddtionVersionMatchs": []}});
        let some = Lead::of(&shown(json!([{"Version": "2", "Weight": 0.05}]))).expect("weights");
        assert!(some.is(&Lead::share("1", "2", 5.0)) && !some.is(&Lead::share("1", "2", 6.0)));
        let none = Lead::of(&shown(json!([]))).expect("a version");
        assert!(none.is(&Lead::all_to("1")) && !none.is(&some));
        assert!(Lead::share("1", "2", 100.0).is(&Lead::all_to("2")));
        let rule = json!({"FunctionVersion": "1", "RoutingConfig": {"AddtionVersionMatchs": [{"Version": "2"}]}});
        assert_eq!(Lead::of(&rule), None);
    }
}
