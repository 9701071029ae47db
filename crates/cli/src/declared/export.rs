//! `sampan export`: writes the state of an installation as a file that reproduces it elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::model::{Alias, File, Function, FunctionName, LATEST, Trigger, TriggerKey, Version, VersionNumber};
use super::observe::{self, Owned};
use super::platform::entry::HIDDEN;
use super::yaml::write;
use crate::client::Client;

/// Project name for items of several projects or of none.
const PROJECT: &str = "exported";

/// Builds the file of all functions and domains.
pub async fn file(client: &Client, project: Option<String>) -> anyhow::Result<File> {
    let (mut functions, mut domains, mut projects) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (name, made_by) in observe::functions(client).await? {
        let Some(there) = observe::function(client, &name).await?.filter(|there| !there.temporary) else { continue };
        functions.insert(name.clone(), whole(client, &name, there.function).await?);
        projects.push(made_by);
    }
    for (name, (domain, made_by)) in observe::domains(client).await? {
        domains.insert(name, domain.trimmed());
        projects.push(made_by);
    }
    projects.dedup();
    let only = projects.pop().flatten().filter(|_| projects.is_empty());
    let project = project.or(only).unwrap_or_else(|| PROJECT.to_owned());
    Ok(File { project, functions, domains })
}

/// Adds versions, aliases and triggers to a function.
async fn whole(client: &Client, name: &FunctionName, function: Function) -> anyhow::Result<Function> {
    let mut provisioned = observe::provisioned(client, name).await?;
    let mut versions = BTreeMap::new();
    for number in observe::versions(client, name).await?.into_keys() {
        let Some(version) = observe::version(client, name, number).await? else { continue };
        let version = version.function.trimmed().into_version();
        versions
            .insert(VersionNumber(number), Version(Function { provisioned: provisioned.remove(&number), ..version }));
    }
    let aliases = observe::aliases(client, name).await?;
    let aliases = aliases.into_iter().filter_map(|(name, (alias, _))| shown_alias(&name, alias).map(|it| (name, it)));
    let aliases = aliases.collect();
    let triggers = named_triggers(name, observe::triggers(client, name).await?);
    let parts = Function { versions: Some(versions), aliases: Some(aliases), triggers: Some(triggers), ..function };
    Ok(parts.trimmed())
}

/// Removes defaults from an alias; `None` for a function's own alias with its initial target.
fn shown_alias(name: &str, alias: Alias) -> Option<Alias> {
    let alias = Alias { description: alias.description.filter(|text| !text.is_empty()), ..alias };
    let untouched = Alias { version: LATEST.to_owned(), weights: None, rule: None, description: None };
    (!name.starts_with('$') || alias != untouched).then_some(alias)
}

/// Triggers by name; by type, name and qualifier if several have the same name.
fn named_triggers(
    function: &FunctionName,
    triggers: BTreeMap<TriggerKey, Owned<Trigger>>,
) -> BTreeMap<String, Trigger> {
    let names: Vec<String> = triggers.keys().map(|key| key.name.clone()).collect();
    let named = |(key, (mut trigger, _)): (TriggerKey, Owned<Trigger>)| {
        let several = names.iter().filter(|name| **name == key.name).count() > 1;
        let short = if several { format!("{}-{}-{}", key.kind, key.name, key.qualifier) } else { key.name };
        let mut variable = format!("{function}_{short}");
        with_variables(&mut trigger.desc, &mut variable);
        (short.clone(), trigger.trimmed(&short))
    };
    triggers.into_iter().map(named).collect()
}

/// Replaces secrets that answers hide by variables.
fn with_variables(desc: &mut Map<String, Value>, path: &mut String) {
    for (key, value) in desc {
        let length = path.len();
        path.push_str(&format!("_{key}"));
        with_variable(value, path);
        path.truncate(length);
    }
}

fn with_variable(value: &mut Value, path: &mut String) {
    match value {
        Value::String(text) if text == HIDDEN => {
            let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let name: String = path.chars().map(upper).collect();
            *text = write::variable(&format!("{name}:?the secret is not exported"));
        }
        Value::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("_{index}"));
                with_variable(value, path);
                path.truncate(length);
            }
        }
        Value::Object(object) => with_variables(object, path),
        _ => {}
    }
}
