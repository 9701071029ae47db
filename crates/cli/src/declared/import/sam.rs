//! A template of AWS's Serverless Application Model: its functions of images.

use serde_json::{Map, Value, json};

use super::section::{self, Section};
use super::{memory, object, schedule};
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::Node;

const FUNCTION: &str = "AWS::Serverless::Function";
/// Sections of a template that describe the template.
const OF_THE_TEMPLATE: [&str; 6] =
    ["AWSTemplateFormatVersion", "Transform", "Description", "Parameters", "Metadata", "Resources"];
/// What every image of Lambda needs to become one of Sampan.
const RUNTIME_API: &str = "images that ask Lambda's runtime API for events need a server on port 9000 instead, \
                           which gets POST /event-invoke";

/// No project's name, for a template has none, and its functions.
pub fn functions(root: &Node, left_out: &mut Vec<String>) -> Result<(String, Map<String, Value>), Error> {
    let resources = root.get("Resources").map(Node::entries).unwrap_or_default();
    let globals = root.get("Globals").and_then(|globals| globals.get("Function"));
    let mut functions = Map::new();
    for (key, resource) in resources {
        let kind = resource.get("Type").and_then(section::text).unwrap_or_default();
        let properties = resource.get("Properties").filter(|_| kind == FUNCTION);
        let Some(properties) = properties else {
            left_out.push(format!("{}: {}: {kind} is no function; left out", key.place, key.text));
            continue;
        };
        let property = |name: &str| properties.get(name).or_else(|| globals?.get(name)).and_then(section::text);
        if properties.get("ImageUri").is_none() && property("PackageType").as_deref() != Some("Image") {
            let problem = "its code is no image; make one of it, and declare the function";
            left_out.push(format!("{}: {}: {problem}", key.place, key.text));
            continue;
        }
        let name = property("FunctionName").unwrap_or_else(|| key.text.clone());
        functions.insert(name, Value::Object(function(&key.text, (properties, globals), left_out)));
    }
    if functions.is_empty() {
        let hint = "Only functions with an ImageUri, or of PackageType Image, can be imported.";
        return Err(Error::new(root.place.clone(), "the template has no function of an image", hint));
    }
    for (key, node) in root.entries().iter().filter(|(key, _)| !OF_THE_TEMPLATE.contains(&key.text.as_str())) {
        if key.text != "Globals" {
            left_out.push(format!("{}: {}: left out", node.place, key.text));
        }
    }
    left_out.push(format!("{}: {RUNTIME_API}", root.place.file));
    Ok((String::new(), functions))
}

fn function(
    key: &str,
    (properties, globals): (&Node, Option<&Node>),
    left_out: &mut Vec<String>,
) -> Map<String, Value> {
    let mut base = Map::new();
    for node in globals.into_iter().chain([properties]) {
        let mut section = Section::of(node, if std::ptr::eq(node, properties) { key } else { "Globals" }, left_out);
        for (key, value) in settings(&mut section) {
            match (base.get_mut(&key), value) {
                // Variables of a function are added to those of all.
                (Some(Value::Object(all)), Value::Object(own)) => all.extend(own),
                (_, value) => {
                    base.insert(key, value);
                }
            }
        }
        section.finish();
    }
    let image = || Value::from(format!("{}:latest", key.to_ascii_lowercase()));
    if !base.contains_key("image") {
        left_out.push(format!("{}: {key}: build its image and push it as {}", properties.place, image()));
    }
    base.entry("image").or_insert_with(image);
    base.insert("type".to_owned(), json!("event"));
    base
}

fn settings(section: &mut Section<'_>) -> Map<String, Value> {
    for known in ["FunctionName", "PackageType"] {
        section.take(known);
    }
    let memory_mb = section.parsed("MemorySize").map(|mb| memory(mb, section));
    let environment = section.section("Environment", |section| section.texts("Variables")).flatten();
    let words = section.section("ImageConfig", |image| (image.words("EntryPoint"), image.words("Command")));
    let (command, args) = words.unwrap_or_default();
    let invoke = section.section("EventInvokeConfig", |config| {
        let retries = config.parsed::<u32>("MaximumRetryAttempts").map(Value::from);
        object([("retries", retries), ("ttl", config.parsed::<u32>("MaximumEventAgeInSeconds").map(Value::from))])
    });
    let alias = section.text("AutoPublishAlias");
    let aliases = alias.as_ref().and_then(Value::as_str).map(|alias| json!({alias: {"version": "newest"}}));
    let triggers = section.section("Events", triggers).filter(|triggers| !triggers.is_empty());
    object([
        ("image", section.text("ImageUri")),
        ("description", section.text("Description")),
        ("memory", memory_mb.map(Into::into)),
        ("timeout", section.parsed::<u32>("Timeout").map(Into::into)),
        ("environment", environment),
        ("tags", section.texts("Tags")),
        ("command", command),
        ("args", args),
        ("events", invoke.map(Value::Object)),
        ("publish", alias.map(|_| Value::Bool(true))),
        ("aliases", aliases),
        ("triggers", triggers.map(Value::Object)),
    ])
}

/// The schedules of a function as timers; the others are said to be left out.
fn triggers(events: &mut Section<'_>) -> Map<String, Value> {
    let mut triggers = Map::new();
    for name in events.keys() {
        let Some(event) = events.take(&name) else { continue };
        let kind = event.get("Type").and_then(section::text).unwrap_or_default();
        let given = |key: &str| event.get("Properties")?.get(key).and_then(section::text);
        let expression = given("Schedule").or_else(|| given("ScheduleExpression")).unwrap_or_default();
        let instead = match kind.as_str() {
            "Schedule" | "ScheduleV2" => match schedule::cron(&expression) {
                Some(cron) => {
                    let off =
                        given("Enabled").as_deref() == Some("false") || given("State").as_deref() == Some("DISABLED");
                    let paused = off.then_some(Value::Bool(true));
                    let argument = given("Input").map(Value::from);
                    let members = [("argument", argument), ("paused", paused), ("zone", Some(json!("+00:00")))];
                    let trigger = object(members).into_iter().chain([("cron".to_owned(), json!(cron))]);
                    triggers.insert(name, Value::Object(trigger.collect()));
                    continue;
                }
                None => format!("{expression} is no cron expression; declare a timer"),
            },
            "Api" | "HttpApi" => "its function is called at its URL; declare triggers of type http".to_owned(),
            "S3" => "declare a trigger of type cos, with the store that it asks (docs/TRIGGERS.md)".to_owned(),
            other => format!("there are no triggers of {other} (docs/TRIGGERS.md)"),
        };
        events.say(instead);
    }
    triggers
}
