//! Events and file systems of other tools in the form that they have here.

use serde_json::{Map, Value, json};

use super::section::{self, Section};
use crate::declared::yaml::node::{Content, Node};
use crate::declared::yaml::write;

/// What polling sees of a bucket.
const CREATED: &str = "ObjectCreated:";

/// A function's URL that everybody may call.
pub fn open_url() -> Value {
    url("NONE")
}

/// A function's URL.
pub fn url(auth: &str) -> Value {
    json!({"type": "http", "desc": {"AuthType": auth}})
}

/// A trigger of a bucket that is polled: its store is a variable, since the other tool has none.
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

/// File systems of a list as mounts, which `read` makes of one entry; the others are said.
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
                    &format!("make the volume {volume} first: sampan volume create {volume}"),
                );
                mounts.push(Value::from(mount.to_string()));
            }
            Err(problem) => section.say_of(&item.place, key, &problem),
        }
    }
    (!mounts.is_empty()).then_some(Value::Array(mounts))
}
