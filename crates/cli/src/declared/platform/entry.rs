//! Converts triggers and custom domains between API answers, the model, and API requests.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::function::{DECLARED, named};
use super::mark;
use crate::declared::differences::Difference;
use crate::declared::model::{
    DEFAULT_QUALIFIER, Domain, FunctionName, Protocol, Rewrite, Route, Trigger, TriggerKey, short,
};

/// Placeholder of secrets in answers.
pub const HIDDEN: &str = "***";

/// Reads a trigger from an answer, with every default explicit, and the project that created it.
pub fn trigger(function: &FunctionName, answer: &Value) -> (Trigger, Option<String>) {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let desc = text("TriggerDesc");
    let mut desc: Map<String, Value> = serde_json::from_str(&desc).unwrap_or_default();
    let number = |value: Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let max_age = desc.remove("max_age_s").and_then(number);
    let rate = desc.remove("rate_per_minute").and_then(number);
    let concurrency = desc.remove("concurrency").and_then(number);
    let word = |value: Value| value.as_str().map(str::to_owned);
    let is_timer = text("Type") == "timer";
    let mut own = |key: &str| if is_timer { desc.remove(key).and_then(word) } else { None };
    let (cron, zone) = (own("cron"), own("zone"));
    let marked = text("Description");
    let key = TriggerKey { name: text("TriggerName"), kind: text("Type"), qualifier: text("Qualifier") };
    let (description, project) = mark::split(&marked, &mark::trigger(function, &key));
    let trigger = Trigger {
        kind: Some(text("Type")),
        name: Some(text("TriggerName")),
        qualifier: Some(text("Qualifier")),
        cron,
        zone,
        max_age,
        rate,
        concurrency,
        desc: without_urls(desc),
        argument: Some(text("CustomArgument")),
        description: Some(description.to_owned()),
        paused: Some(answer.get("Enable") != Some(&Value::from(1))),
        digest: mark::digest(&marked).map(str::to_owned),
    };
    (trigger, project.map(str::to_owned))
}

/// Removes URLs, which answers add, and networks with default settings from a description.
fn without_urls(mut desc: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(net)) = desc.get_mut("NetConfig") {
        net.retain(|key, value| !key.ends_with("Url") && *value != Value::Bool(true));
        if net.is_empty() {
            desc.remove("NetConfig");
        }
    }
    desc
}

/// Makes a declared and an observed trigger comparable: assumes that a hidden secret equals the
/// declared one, and drops empty fields that answers add inside objects.
pub fn comparable(declared: &Trigger, observed: &Trigger) -> (Trigger, Trigger) {
    let declared = Trigger { desc: without_urls(declared.desc.clone()), ..declared.clone() };
    let mut observed = observed.clone();
    for (key, value) in &mut observed.desc {
        if let Some(wanted) = declared.desc.get(key) {
            adopt(value, wanted, true);
        }
    }
    (declared, observed)
}

fn adopt(observed: &mut Value, declared: &Value, top: bool) {
    match (observed, declared) {
        (observed @ Value::String(_), declared @ Value::String(_)) if *observed == HIDDEN => {
            *observed = declared.clone();
        }
        (Value::Object(observed), Value::Object(declared)) => {
            observed.retain(|key, value| declared.contains_key(key) || !is_empty(value));
            for (key, value) in observed {
                if let Some(declared) = declared.get(key) {
                    adopt(value, declared, false);
                }
            }
        }
        (Value::Array(observed), Value::Array(declared)) if !top || observed.len() == declared.len() => {
            for (observed, declared) in observed.iter_mut().zip(declared) {
                adopt(observed, declared, false);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        _ => false,
    }
}

/// Request fields that identify a trigger.
pub fn trigger_named(function: &FunctionName, key: &TriggerKey) -> Value {
    let mut request = Value::from(named(function));
    request["TriggerName"] = key.name.as_str().into();
    request["Type"] = key.kind.as_str().into();
    request["Qualifier"] = key.qualifier.as_str().into();
    request
}

/// Key of `desc` whose values answers hide.
const SECRETS: &str = "Secrets";
/// Length of a digest in bytes: enough to detect a change.
const DIGEST_LEN: usize = 8;

/// Digest of a trigger's secrets. It is keyed with the secret key, so that readers of descriptions
/// cannot test guesses offline.
fn digest(function: &FunctionName, trigger: &Trigger, secret_key: &str) -> Option<String> {
    let secrets = trigger.desc.get(SECRETS)?;
    let key = trigger.key();
    let text = json!([function.to_string(), key.name, key.kind, key.qualifier, secrets]).to_string();
    let keyed = [Sha256::digest(secret_key), Sha256::digest(text)].concat();
    let digest: [u8; 32] = Sha256::digest(keyed).into();
    Some(digest[..DIGEST_LEN].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Hides secrets in differences, as answers do.
pub fn without_secrets(differences: Vec<Difference>) -> Vec<Difference> {
    let is_secret = |field: &str| field.split('.').nth(1) == Some(SECRETS);
    let hide = |of: Difference| match is_secret(&of.field) {
        true => Difference { from: hidden(of.from), to: hidden(of.to), ..of },
        false => of,
    };
    differences.into_iter().map(hide).collect()
}

fn hidden(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Array(list) => list.into_iter().map(hidden).collect(),
        _ => HIDDEN.into(),
    }
}

/// Compares secrets, which answers hide, by the digest stored when they were deployed. A trigger
/// that no project created has none, and its secrets are not compared.
pub fn secrets_difference(
    function: &FunctionName,
    wanted: &Trigger,
    there: &Trigger,
    secret_key: &str,
) -> Option<Difference> {
    let wanted = digest(function, wanted, secret_key)?;
    let field = format!("desc.{SECRETS}");
    (there.digest.as_ref() != Some(&wanted)).then(|| Difference {
        field,
        from: HIDDEN.into(),
        to: "other secrets, or the same under another key pair".into(),
    })
}

/// Request of `CreateTrigger` and `UpdateTrigger`; the trigger must have its defaults explicit.
pub fn trigger_request(function: &FunctionName, trigger: &Trigger, project: Option<&str>, secret_key: &str) -> Value {
    let mut request = trigger_named(function, &trigger.key());
    let mut desc = trigger.desc.clone();
    let options =
        [("max_age_s", trigger.max_age), ("rate_per_minute", trigger.rate), ("concurrency", trigger.concurrency)];
    desc.extend(options.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
    let texts = [("cron", &trigger.cron), ("zone", &trigger.zone)];
    desc.extend(texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into()))));
    let description = trigger.description.clone().unwrap_or_default();
    let digest = digest(function, trigger, secret_key);
    let what = mark::trigger(function, &trigger.key());
    let marked = |project| mark::with_digest(&description, project, &what, digest.as_deref());
    let description = project.map_or_else(|| description.clone(), marked);
    request["TriggerDesc"] = Value::Object(desc).to_string().into();
    request["CustomArgument"] = trigger.argument.clone().unwrap_or_default().into();
    request["Description"] = description.into();
    request["Enable"] = if trigger.paused == Some(true) { "CLOSE" } else { "OPEN" }.into();
    request
}

/// Reads a domain from an answer, with every default explicit, and the project that created it.
pub fn domain(answer: &Value) -> (Domain, Option<String>) {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let route = |endpoint: &Value| {
        let (namespace, function) = (text(endpoint, "Namespace"), text(endpoint, "FunctionName"));
        let target = format!("{namespace}/{function}:{}", text(endpoint, "Qualifier"));
        let rewrites = list(endpoint, "PathRewrite");
        let rewrites = rewrites.iter().map(|rule| Rewrite { path: text(rule, "Path"), to: text(rule, "Rewrite") });
        (text(endpoint, "PathMatch"), Route { function: short(&target), rewrites: rewrites.collect() })
    };
    let domain = Domain {
        protocol: Some(match text(answer, "Protocol").as_str() {
            "HTTPS" => Protocol::Https,
            "HTTP&HTTPS" => Protocol::Both,
            _ => Protocol::Http,
        }),
        certificate: Some(
            answer.pointer("/CertConfig/CertificateId").and_then(Value::as_str).unwrap_or_default().into(),
        ),
        routes: list(answer, "EndpointsConfig").iter().map(route).collect(),
    };
    let tags = list(answer, "Tags");
    let tag = tags.iter().find(|tag| text(tag, "Key") == DECLARED).map(|tag| text(tag, "Value"));
    let project = tag.and_then(|tag| mark::project(&tag, &text(answer, "Domain")).map(str::to_owned));
    (domain, project)
}

/// Request of `CreateCustomDomain`, or without a project of `UpdateCustomDomain`; the domain must
/// have its defaults explicit.
pub fn domain_request(name: &str, domain: &Domain, project: Option<&str>) -> Value {
    let protocol = match domain.protocol.unwrap_or_default() {
        Protocol::Http => "HTTP",
        Protocol::Https => "HTTPS",
        Protocol::Both => "HTTP&HTTPS",
    };
    let endpoints: Vec<Value> = domain.routes.iter().map(|(path, route)| endpoint(path, route)).collect();
    let mut request = json!({
        "Domain": name, "Protocol": protocol, "CertConfig": {"CertificateId": domain.certificate},
        "EndpointsConfig": endpoints,
    });
    if let Some(project) = project {
        request["Tags"] = json!([{"Key": DECLARED, "Value": mark::tag(project, name)}]);
    }
    request
}

fn endpoint(path: &str, route: &Route) -> Value {
    let (function, qualifier) = route.function.split_once(':').unwrap_or((&route.function, DEFAULT_QUALIFIER));
    let (namespace, function) = function.split_once('/').unwrap_or(("default", function));
    let rule = |rewrite: &Rewrite| {
        let kind = if rewrite.path.ends_with('*') { "WildcardRules" } else { "ExactRules" };
        json!({"Path": rewrite.path, "Type": kind, "Rewrite": rewrite.to})
    };
    json!({
        "PathMatch": path, "Namespace": namespace, "FunctionName": function, "Qualifier": qualifier,
        "PathRewrite": route.rewrites.iter().map(rule).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answer of the platform after such a request.
    fn answered(mut request: Value) -> Value {
        request["Enable"] = i32::from(request["Enable"] == "OPEN").into();
        request
    }

    #[test]
    fn a_trigger_is_asked_for_as_it_is_answered() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let timer = Trigger {
            cron: Some("0 9 * * *".into()),
            zone: Some("UTC".into()),
            max_age: Some(60),
            rate: Some(60),
            concurrency: Some(2),
            argument: Some("x".into()),
            ..Trigger::default()
        };
        let url = Trigger {
            kind: Some("http".into()),
            qualifier: Some("live".into()),
            desc: object(json!({"AuthType": "CAM"})),
            paused: Some(true),
            ..Trigger::default()
        };
        for wanted in [timer, url] {
            let wanted = wanted.filled("t");
            let name = FunctionName::new("default", "f");
            let request = trigger_request(&name, &wanted, Some("shop"), "key");
            assert_eq!(trigger(&name, &answered(request)), (wanted, Some("shop".to_owned())));
        }
        let request = json!({"Type": "http", "TriggerDesc": json!({"AuthType": "NONE", "NetConfig": {
            "EnableIntranet": true, "EnableExtranet": false, "IntranetUrl": "http://a/"}}).to_string()});
        let (read, _) = trigger(&FunctionName::new("default", "f"), &request);
        assert_eq!(Value::from(read.desc), json!({"AuthType": "NONE", "NetConfig": {"EnableExtranet": false}}));
    }

    #[test]
    fn hidden_secrets_and_empty_additions_are_no_differences() {
        let with = |desc: Value| {
            Trigger { desc: desc.as_object().cloned().expect("an object"), ..Trigger::default() }.filled("t")
        };
        let declared = with(json!({"Scheme": "github", "Secrets": ["s"], "CorsConfig": {"Enable": true}}));
        let observed =
            with(json!({"Scheme": "github", "Secrets": ["***"], "CorsConfig": {"Enable": true, "MaxAge": 0}}));
        let (a, b) = comparable(&declared, &observed);
        assert_eq!(a, b);
        let (a, b) = comparable(&with(json!({"Scheme": "github"})), &with(json!({"Scheme": "token", "x": 1})));
        assert_ne!(a, b);
    }

    #[test]
    fn another_secret_is_noticed_by_its_digest() {
        let name = FunctionName::new("default", "f");
        let with = |secret: &str| {
            let desc = json!({"Scheme": "github", "Secrets": [secret]});
            let desc = desc.as_object().cloned().expect("an object");
            Trigger { kind: Some("webhook".into()), desc, ..Trigger::default() }.filled("t")
        };
        let request = trigger_request(&name, &with("first-secret"), Some("shop"), "key");
        assert!(!request["Description"].to_string().contains("first-secret"), "{request}");
        let (there, project) = trigger(&name, &answered(request));
        assert_eq!(project.as_deref(), Some("shop"));
        assert!(secrets_difference(&name, &with("first-secret"), &there, "key").is_none());
        assert!(secrets_difference(&name, &with("second-secret"), &there, "key").is_some());
        assert!(secrets_difference(&name, &with("first-secret"), &there, "another key").is_some());
        let by_hand = trigger_request(&name, &with("first-secret"), None, "key");
        assert_eq!(trigger(&name, &answered(by_hand)).0.digest, None);
    }

    #[test]
    fn secrets_are_in_no_difference() {
        let of = |field: &str, to: Value| Difference { field: field.to_owned(), from: Value::Null, to };
        let found = without_secrets(vec![
            of("desc.Secrets", json!(["s1", "s2"])),
            of("desc.Secrets.a", json!("s3")),
            of("desc.Scheme", json!("github")),
        ]);
        let to: Vec<Value> = found.into_iter().map(|difference| difference.to).collect();
        assert_eq!(to, [json!(["***", "***"]), json!("***"), json!("github")]);
    }

    #[test]
    fn a_domain_is_asked_for_as_it_is_answered() {
        let route = |target: &str, rewrites: Vec<Rewrite>| Route { function: target.into(), rewrites };
        let rewrite = Rewrite { path: "/api/*".into(), to: "/$".into() };
        let routes = [("/*", route("web", Vec::new())), ("/api/*", route("team/api:live", vec![rewrite]))];
        let routes = routes.into_iter().map(|(path, route)| (path.to_owned(), route)).collect();
        let wanted = Domain { protocol: Some(Protocol::Both), certificate: Some("main".into()), routes };
        let request = domain_request("a.example.com", &wanted, Some("shop"));
        assert_eq!(domain(&request), (wanted, Some("shop".to_owned())));
    }
}
