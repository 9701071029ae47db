//! Converts aliases and provisioned concurrency between API answers, the model, and API requests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::function::named;
use super::mark;
use crate::declared::model::{Alias, At, FunctionName, Provisioned, Rule};

/// `ProvisionedType` of target tracking.
const TRACKING: &str = "ConcurrencyUtilizationTracking";
/// Prefix of header names in the API.
const HEADERS: &str = "invoke.headers.";

/// Reads an alias from an answer, and the project that created it.
pub fn alias(function: &FunctionName, answer: &Value) -> (Alias, Option<String>) {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let weight = answer.pointer("/RoutingConfig/AdditionalVersionWeights/0");
    let weight = weight.map(|of| (text(of, "Version"), of.get("Weight").and_then(Value::as_f64).unwrap_or_default()));
    let rule = answer.pointer("/RoutingConfig/AddtionVersionMatchs/0").map(|of| {
        let (exact, key) = (text(of, "Method") == "exact", text(of, "Key"));
        Rule {
            version: text(of, "Version"),
            header: key.strip_prefix(HEADERS).unwrap_or(&key).to_owned(),
            exact: exact.then(|| text(of, "Expression")),
            range: (!exact).then(|| text(of, "Expression")),
        }
    });
    let marked = text(answer, "Description");
    let (description, project) = mark::split(&marked, &mark::alias(function, &text(answer, "Name")));
    let alias = Alias {
        version: text(answer, "FunctionVersion"),
        weights: weight.map(|(version, share)| BTreeMap::from([(version, share)])),
        rule,
        description: Some(description.to_owned()),
    };
    (alias, project.map(str::to_owned))
}

/// Request of `CreateAlias` and `UpdateAlias`.
pub fn alias_request(function: &FunctionName, name: &str, alias: &Alias, project: Option<&str>) -> Value {
    let mut request = named(function);
    let weights = alias.weights.iter().flatten();
    let weights: Vec<Value> = weights.map(|(version, share)| json!({"Version": version, "Weight": share})).collect();
    let rules: Vec<Value> = alias.rule.iter().map(rule).collect();
    let description = alias.description.clone().unwrap_or_default();
    let description = project
        .map_or_else(|| description.clone(), |project| mark::with(&description, project, &mark::alias(function, name)));
    request.insert("Name".to_owned(), name.into());
    request.insert("FunctionVersion".to_owned(), alias.version.as_str().into());
    // The API's spelling.
    let routing = json!({"AdditionalVersionWeights": weights, "AddtionVersionMatchs": rules});
    request.insert("RoutingConfig".to_owned(), routing);
    request.insert("Description".to_owned(), description.into());
    request.into()
}

fn rule(rule: &Rule) -> Value {
    let (method, expression) = match &rule.exact {
        Some(value) => ("exact", value.as_str()),
        None => ("range", rule.range.as_deref().unwrap_or_default()),
    };
    json!({
        "Version": rule.version, "Key": format!("{HEADERS}{}", rule.header), "Method": method, "Expression": expression,
    })
}

/// Reads one entry of `Allocated`.
pub fn provisioned(entry: &Value) -> Provisioned {
    let number = |name: &str| {
        let number = entry.get(name).and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok())
    };
    let at = |action: &Value| {
        let number = action.get("TriggerProvisionedConcurrencyNum").and_then(Value::as_u64).unwrap_or_default();
        let cron = action.get("TriggerCronConfig").and_then(Value::as_str).unwrap_or_default();
        At { cron: cron.to_owned(), number: u32::try_from(number).unwrap_or(u32::MAX) }
    };
    let actions = entry.get("TriggerActions").and_then(Value::as_array);
    let at = actions.into_iter().flatten().map(at).collect();
    let utilization = entry.get("TrackingTarget").and_then(Value::as_f64);
    Provisioned {
        number: utilization.is_none().then(|| number("AllocatedProvisionedConcurrencyNum").unwrap_or_default()),
        utilization,
        min: number("MinCapacity").filter(|_| utilization.is_some()),
        max: number("MaxCapacity").filter(|_| utilization.is_some()),
        at,
    }
}

/// Request of `PutProvisionedConcurrencyConfig`.
pub fn provisioned_request(function: &FunctionName, version: u32, wanted: &Provisioned) -> Value {
    let mut request = Value::from(named(function));
    request["Qualifier"] = version.to_string().into();
    request["VersionProvisionedConcurrencyNum"] = wanted.number.unwrap_or(0).into();
    if let Some(share) = wanted.utilization {
        request["ProvisionedType"] = TRACKING.into();
        request["TrackingTarget"] = share.into();
        request["MinCapacity"] = json!(wanted.min);
        request["MaxCapacity"] = json!(wanted.max);
    }
    let action = |(index, at): (usize, &At)| {
        let name = format!("action-{}", index + 1);
        json!({"TriggerName": name, "TriggerProvisionedConcurrencyNum": at.number, "TriggerCronConfig": at.cron})
    };
    request["TriggerActions"] = wanted.at.iter().enumerate().map(action).collect();
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_asked_for_as_it_is_answered() {
        let rule = Rule { version: "2".into(), header: "x-user".into(), exact: None, range: Some("[1,5]".into()) };
        let bare = Alias { version: "1".into(), weights: None, rule: None, description: Some("d".into()) };
        let weighted = Alias { weights: Some(BTreeMap::from([("2".to_owned(), 0.05)])), ..bare.clone() };
        for wanted in [bare.clone(), weighted, Alias { rule: Some(rule), ..bare }] {
            let request = alias_request(&FunctionName::new("default", "f"), "live", &wanted, Some("shop"));
            assert_eq!(alias(&FunctionName::new("default", "f"), &request), (wanted, Some("shop".to_owned())));
        }
    }

    #[test]
    fn provisioned_instances_are_asked_for_as_they_are_answered() {
        let at = vec![At { cron: "0 0 9 * * MON-FRI *".into(), number: 5 }];
        let fixed = Provisioned { number: Some(2), at, ..Provisioned::default() };
        let tracked = Provisioned { utilization: Some(0.5), min: Some(1), max: Some(4), ..Provisioned::default() };
        for wanted in [fixed, tracked] {
            let mut answer = provisioned_request(&FunctionName::new("default", "f"), 3, &wanted);
            answer["AllocatedProvisionedConcurrencyNum"] = answer["VersionProvisionedConcurrencyNum"].clone();
            assert_eq!(provisioned(&answer), wanted);
        }
    }
}
