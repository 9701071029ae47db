//! Hints about unknown names: the nearest existing name, and the command that lists all.

use serde_json::{Value, json};

use crate::client::Client;
use crate::declared::nearest;
use crate::failure::{Failure, Subject};

/// Most names of one kind that are read, and that a hint lists.
const LOOKED_AT_MAX: usize = 100;
const LISTED_MAX: usize = 5;

/// Adds a hint from the platform's existing names to an error about an unknown name. Returns other
/// errors unchanged, and this one too if the platform does not answer.
pub async fn complete(client: &Client, error: anyhow::Error) -> anyhow::Error {
    let failure = Failure::of(&error);
    let (Some(code), Some(subject)) = (failure.api_code(), failure.subject()) else { return error };
    let hint = match code {
        "ResourceNotFound.Function" | "ResourceNotFound.FunctionName" => function(client, subject).await,
        "ResourceNotFound.Namespace" => namespace(client, subject).await,
        "ResourceNotFound.Alias"
        | "ResourceNotFound.Qualifier"
        | "ResourceNotFound.Version"
        | "ResourceNotFound.FunctionVersion" => qualifier(client, subject).await,
        _ => None,
    };
    match hint {
        Some(hint) => failure.with_hint(hint).into(),
        None => error,
    }
}

async fn function(client: &Client, subject: &Subject) -> Option<String> {
    let here = functions(client, &subject.namespace).await?;
    if subject.function.is_empty() || here.contains(&subject.function) {
        // The unknown function is another one, such as a destination.
        return None;
    }
    let list = match subject.namespace.as_str() {
        "default" => "`sampan list` shows all.".to_owned(),
        namespace => format!("`sampan list --namespace {namespace}` shows all."),
    };
    if let Some(near) = nearest(&subject.function, here.iter().map(String::as_str)) {
        return Some(format!("Did you mean `{near}`? {list}"));
    }
    // The function may exist in another namespace.
    for namespace in namespaces(client).await?.iter().filter(|name| **name != subject.namespace) {
        if functions(client, namespace).await.is_some_and(|names| names.contains(&subject.function)) {
            return Some(format!("There is one in namespace {namespace}: add --namespace {namespace}."));
        }
    }
    Some(format!("{} {list}", listed(&format!("namespace {}", subject.namespace), "function", &here)))
}

async fn namespace(client: &Client, subject: &Subject) -> Option<String> {
    let all = namespaces(client).await?;
    let list = listed("the platform", "namespace", &all);
    Some(match nearest(&subject.namespace, all.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean `{near}`? Without --namespace it is default."),
        None => format!("{list} Without --namespace it is default."),
    })
}

/// Hint about an unknown version or alias.
async fn qualifier(client: &Client, subject: &Subject) -> Option<String> {
    let of = json!({"FunctionName": subject.function, "Namespace": subject.namespace, "Limit": LOOKED_AT_MAX});
    let versions = client.call("ListVersionByFunction", &of).await.ok()?;
    let mut all = texts(&versions["FunctionVersion"], None);
    let of = json!({"FunctionName": subject.function, "Namespace": subject.namespace});
    all.extend(texts(&client.call("ListAliases", &of).await.ok()?["Aliases"], Some("Name")));
    let list = listed(&format!("function {}", subject.function), "version or alias", &all);
    let near = nearest(subject.qualifier.as_deref().unwrap_or_default(), all.iter().map(String::as_str));
    Some(match near {
        Some(near) => format!("Did you mean `{near}`? {list}"),
        None => list,
    })
}

async fn functions(client: &Client, namespace: &str) -> Option<Vec<String>> {
    let request = json!({"Namespace": namespace, "Limit": LOOKED_AT_MAX});
    Some(texts(&client.call("ListFunctions", &request).await.ok()?["Functions"], Some("FunctionName")))
}

async fn namespaces(client: &Client) -> Option<Vec<String>> {
    let answer = client.call("ListNamespaces", &json!({"Limit": LOOKED_AT_MAX})).await.ok()?;
    Some(texts(&answer["Namespaces"], Some("Name")))
}

fn texts(list: &Value, field: Option<&str>) -> Vec<String> {
    let text = |entry: &Value| field.map_or(entry, |field| &entry[field]).as_str().map(str::to_owned);
    list.as_array().into_iter().flatten().filter_map(text).collect()
}

/// Lists the existing names in one sentence, at most `LISTED_MAX`.
pub(super) fn listed(place: &str, kind: &str, names: &[String]) -> String {
    match names {
        [] => format!("There is no {kind} in {place}."),
        few if few.len() <= LISTED_MAX => format!("Existing in {place}: {}.", few.join(", ")),
        many => format!("Existing in {place}: {} and {} more.", many[..LISTED_MAX].join(", "), many.len() - LISTED_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_far_as_they_are_few() {
        let names = |count: usize| (0..count).map(|at| format!("f{at}")).collect::<Vec<_>>();
        for (count, text) in [
            (0, "There is no function in namespace a."),
            (2, "Existing in namespace a: f0, f1."),
            (7, "Existing in namespace a: f0, f1, f2, f3, f4 and 2 more."),
        ] {
            assert_eq!(listed("namespace a", "function", &names(count)), text);
        }
    }

    #[test]
    fn names_are_taken_out_of_both_kinds_of_lists() {
        assert_eq!(texts(&json!(["$LATEST", "1", 2]), None), ["$LATEST", "1"]);
        assert_eq!(texts(&json!([{"Name": "a"}, {}]), Some("Name")), ["a"]);
        assert!(texts(&Value::Null, None).is_empty());
    }
}
