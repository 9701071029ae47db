//! Reads the state of an installation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Alias, Domain, Events, FunctionName, Provisioned, Trigger, TriggerKey};
use super::platform::function::{self, Observed, named};
use super::platform::{entry, mark, release};
use crate::client::Client;
use crate::failure::{Exit, Failure};

/// Page size of lists.
const PAGE_LEN: usize = 100;

/// Reads a function, if it exists.
pub async fn function(client: &Client, name: &FunctionName) -> anyhow::Result<Option<Observed>> {
    let request = Value::Object(named(name));
    let answer = match client.call("GetFunction", &request).await {
        Ok(answer) => answer,
        Err(error) if Failure::is_not_found(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut observed = function::observed(&answer, client.registry());
    match add_apart(client, &request, &mut observed).await {
        // Deleted between the calls.
        Err(error) if Failure::is_not_found(&error) => Ok(None),
        added => added.map(|()| Some(observed)),
    }
}

/// Reads settings that have API actions of their own.
async fn add_apart(client: &Client, request: &Value, observed: &mut Observed) -> anyhow::Result<()> {
    let reserved = client.call("GetReservedConcurrencyConfig", request).await?;
    observed.function.reserved = reserved.get("ReservedMem").and_then(Value::as_u64);
    let events = client.call("GetFunctionEventInvokeConfig", request).await?;
    observed.function.events = Some(event_config(&events));
    Ok(())
}

fn event_config(answer: &Value) -> Events {
    let number = |pointer: &str| {
        let number = answer.pointer(&format!("/AsyncTriggerConfig/{pointer}")).and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok())
    };
    Events { retries: number("RetryConfig/0/RetryNum"), ttl: number("MsgTTL") }.filled()
}

/// Request of `UpdateFunctionEventInvokeConfig`.
pub fn event_change(name: &FunctionName, events: &Events) -> Value {
    let mut request = named(name);
    let config = json!({"RetryConfig": [{"RetryNum": events.retries}], "MsgTTL": events.ttl});
    request.insert("AsyncTriggerConfig".to_owned(), config);
    request.into()
}

/// Reads the settings of a published version, if it exists; removes the mark from its description.
pub async fn version(client: &Client, name: &FunctionName, number: u32) -> anyhow::Result<Option<Observed>> {
    let mut request = Value::Object(named(name));
    request["Qualifier"] = number.to_string().into();
    let answer = match client.call("GetFunction", &request).await {
        Ok(answer) => answer,
        Err(error) if Failure::is_not_found(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut observed = function::observed(&answer, client.registry());
    let description = observed.function.description.unwrap_or_default();
    observed.function.description = Some(mark::split(&description, "").0.to_owned());
    Ok(Some(observed))
}

/// Lists the published versions, with the projects that created them.
pub async fn versions(client: &Client, name: &FunctionName) -> anyhow::Result<BTreeMap<u32, Option<String>>> {
    let listed = pages(client, "ListVersionByFunction", Value::Object(named(name)), "Versions").await?;
    let entry = |version: &Value| {
        let number = text(version, "Version").parse().ok()?;
        Some((number, mark::split(text(version, "Description"), &name.to_string()).1.map(str::to_owned)))
    };
    Ok(listed.iter().filter_map(entry).collect())
}

/// Returns the last published version.
pub async fn newest(client: &Client, name: &FunctionName) -> anyhow::Result<Option<u32>> {
    Ok(versions(client, name).await?.into_keys().next_back())
}

/// An existing item, and the project that created it.
pub type Owned<T> = (T, Option<String>);

/// Lists the aliases by name.
pub async fn aliases(client: &Client, name: &FunctionName) -> anyhow::Result<BTreeMap<String, Owned<Alias>>> {
    let mut aliases = BTreeMap::new();
    loop {
        // This action takes its numbers as texts.
        let mut request = Value::Object(named(name));
        request["Offset"] = aliases.len().to_string().into();
        request["Limit"] = PAGE_LEN.to_string().into();
        let answer = client.call("ListAliases", &request).await?;
        let page = list(&answer, "Aliases");
        aliases.extend(page.iter().map(|entry| (text(entry, "Name").to_owned(), release::alias(name, entry))));
        if page.len() < PAGE_LEN {
            return Ok(aliases);
        }
    }
}

/// Reads the provisioned concurrency by version.
pub async fn provisioned(client: &Client, name: &FunctionName) -> anyhow::Result<BTreeMap<u32, Provisioned>> {
    let answer = client.call("GetProvisionedConcurrencyConfig", &Value::Object(named(name))).await?;
    let entry = |entry: &Value| Some((text(entry, "Qualifier").parse().ok()?, release::provisioned(entry)));
    Ok(list(&answer, "Allocated").iter().filter_map(entry).collect())
}

/// Lists the triggers of a function.
pub async fn triggers(client: &Client, name: &FunctionName) -> anyhow::Result<BTreeMap<TriggerKey, Owned<Trigger>>> {
    let mut request = Value::Object(named(name));
    request["OrderBy"] = "add_time".into();
    request["Order"] = "ASC".into();
    let listed = pages(client, "ListTriggers", request, "Triggers").await?;
    let triggers = listed.iter().map(|answer| entry::trigger(name, answer));
    Ok(triggers.map(|(trigger, project)| (trigger.key(), (trigger, project))).collect())
}

/// Reads a domain, if it exists.
pub async fn domain(client: &Client, name: &str) -> anyhow::Result<Option<Owned<Domain>>> {
    match client.call("GetCustomDomain", &json!({ "Domain": name })).await {
        Ok(answer) => Ok(Some(entry::domain(&answer))),
        Err(error) if Failure::of(&error).exit() == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists all domains.
pub async fn domains(client: &Client) -> anyhow::Result<BTreeMap<String, Owned<Domain>>> {
    let listed = pages(client, "ListCustomDomains", json!({"Order": "ASC"}), "Domains").await?;
    Ok(listed.iter().map(|answer| (text(answer, "Domain").to_owned(), entry::domain(answer))).collect())
}

/// Lists the names of all namespaces.
pub async fn namespaces(client: &Client) -> anyhow::Result<Vec<String>> {
    let listed = pages(client, "ListNamespaces", json!({}), "Namespaces").await?;
    Ok(listed.iter().map(|namespace| text(namespace, "Name").to_owned()).collect())
}

/// Lists the functions of all namespaces, with the projects that created them.
pub async fn functions(client: &Client) -> anyhow::Result<BTreeMap<FunctionName, Option<String>>> {
    let mut functions = BTreeMap::new();
    for namespace in namespaces(client).await? {
        let request = json!({"Namespace": namespace, "Orderby": "FunctionName", "Order": "ASC"});
        for function in pages(client, "ListFunctions", request, "Functions").await? {
            let project = function::project(&function);
            functions.insert(FunctionName::new(&namespace, text(&function, "FunctionName")), project);
        }
    }
    Ok(functions)
}

/// Reads all pages of a list; empty if the function does not exist.
async fn pages(client: &Client, action: &str, mut request: Value, field: &str) -> anyhow::Result<Vec<Value>> {
    let mut entries = Vec::new();
    loop {
        request["Offset"] = entries.len().into();
        request["Limit"] = PAGE_LEN.into();
        let page = match client.call(action, &request).await {
            Ok(answer) => list(&answer, field),
            Err(error) if Failure::is_not_found(&error) => return Ok(entries),
            Err(error) => return Err(error),
        };
        let last = page.len() < PAGE_LEN;
        entries.extend(page);
        if last {
            return Ok(entries);
        }
    }
}

fn list(answer: &Value, field: &str) -> Vec<Value> {
    answer.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
