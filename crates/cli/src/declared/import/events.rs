//! Converts events and file systems of other tools to triggers and mounts.

use serde_json::{Map, Value, json};

use super::section::{self, Section};
use crate::declared::yaml::node::{Content, Node};
use crate::declared::yaml::write;

/// Prefix of the only event types that polling detects.
const CREATED: &str = "ObjectCreated:";

/// A function URL without authentication.
pub fn open_url() -> Value {
    url("NONE")
}

/// A function URL with an `AuthType`.
pub fn url(auth: &str) -> Value {
    json!({"type": "http", "desc": {"AuthType": auth}})
}

/// A polling trigger for a bucket. Its store is a variable, because the other tool's file has none.
pub fn bucket(event: &str, filter: &[(&str, Option<String>)]) -> Result<Value, String> {
    let Some((_, kind)) = event.split_once(CREATED) else {
        return Err(format!(
            "{event}: a bucket that is polled shows new objects alone; let the store send \
                            notifications to a trigger with Secrets (docs/TRIGGERS.md)"
        ));
    };
    if kind != "*" {
        return Err(format!(
            "{event}: a bucket that is polled does not show how an object came; write \
                            cos:{CREATED}*, or let the store send notifications (docs/TRIGGERS.md)"
        ));
    }
    let connection = write::variable("COS_CONNECTION:?name of the store in [connections] of the settings");
    let mut desc = json!({"event": format!("cos:{CREATED}*"), "Poll": {"Connection": connection}});
    let filter: Map<String, Value> =
        filter.iter().filter_map(|(key, text)| Some(((*key).to_owned(), text.clone()?.into()))).collect();
    if !filter.is_empty() {
        desc["filter"] = Value::Object(filter);
    }
    Ok(json!({"type": "cos", "desc": desc}))
}

/// Converts a list of file systems to mounts with `read`; reports entries that cannot be converted.
pub fn mounts(
    section: &mut Section<'_>,
    key: &str,
    read: impl Fn(&Node) -> Result<types::Mount, String>,
) -> Option<Value> {
    let node = section.take(key)?;
    let Content::List(items) = &node.content else {
        section.say(section::problem(node, "a list"));
        return None;
    };
    let mut mounts = Vec::new();
    for item in items {
        match read(item) {
            Ok(mount) => {
                let volume = &mount.volume;
                section.say_of(
                    &item.place,
                    key,
                    &format!("create the volume {volume} first: sampan volume create {volume}"),
                );
                mounts.push(Value::from(mount.to_string()));
            }
            Err(problem) => section.say_of(&item.place, key, &problem),
        }
    }
    (!mounts.is_empty()).then_some(Value::Array(mounts))
}
