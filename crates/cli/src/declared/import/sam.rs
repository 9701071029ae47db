//! Imports image functions from a template of AWS's Serverless Application Model.

use serde_json::{Map, Value, json};

use types::limits::MEMORY_MB_DEFAULT;

use super::section::{self, Section};
use super::{events, memory, object, parameters, schedule};
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::{Content, Node};

const FUNCTION: &str = "AWS::Serverless::Function";
/// Lambda's default size of `/tmp`, in MB.
const TMP_MB_OF_LAMBDA: u32 = 512;
/// Sections about the template itself.
const OF_THE_TEMPLATE: [&str; 6] =
    ["AWSTemplateFormatVersion", "Transform", "Description", "Parameters", "Metadata", "Resources"];
/// Note about the change that every Lambda image needs.
const RUNTIME_API: &str = "images that ask Lambda's runtime API for events need a server on port 9000 instead, \
                           which gets POST /event-invoke";

/// Returns an empty project name, because a template has none, and the functions.
pub fn functions(root: &Node, left_out: &mut Vec<String>) -> Result<(String, Map<String, Value>), Error> {
    let mut root = root.clone();
    let parameters = parameters::of(&root);
    parameters::give(&mut root, &parameters);
    let resources = root.get("Resources").map(Node::entries).unwrap_or_default();
    let globals = root.get("Globals").and_then(|globals| globals.get("Function"));
    let checked = checked_apis(&root);
    let mut functions = Map::new();
    for (key, resource) in resources {
        let kind = resource.get("Type").and_then(section::text).unwrap_or_default();
        let properties = resource.get("Properties").filter(|_| kind == FUNCTION);
        let Some(properties) = properties else {
            left_out.push(format!("{}: {}: {kind} is not a function; not imported", key.place, key.text));
            continue;
        };
        let property = |name: &str| properties.get(name).or_else(|| globals?.get(name)).and_then(section::text);
        if properties.get("ImageUri").is_none() && property("PackageType").as_deref() != Some("Image") {
            let problem = "its code is not an image; build one, and declare the function";
            left_out.push(format!("{}: {}: {problem}", key.place, key.text));
            continue;
        }
        let name = property("FunctionName").unwrap_or_else(|| key.text.clone());
        functions.insert(name, Value::Object(function(&key.text, (properties, globals), &checked, left_out)));
    }
    if functions.is_empty() {
        let hint = "Only functions with an ImageUri, or of PackageType Image, can be imported.";
        return Err(Error::new(root.place.clone(), "the template has no function of an image", hint));
    }
    for (key, node) in root.entries().iter().filter(|(key, _)| !OF_THE_TEMPLATE.contains(&key.text.as_str())) {
        if key.text != "Globals" {
            left_out.push(format!("{}: {}: not imported", node.place, key.text));
        }
    }
    left_out.push(format!("{}: {RUNTIME_API}", root.place.file));
    Ok((String::new(), functions))
}

fn function(
    key: &str,
    (properties, globals): (&Node, Option<&Node>),
    checked: &[&str],
    left_out: &mut Vec<String>,
) -> Map<String, Value> {
    let mut base = Map::new();
    for node in globals.into_iter().chain([properties]) {
        let mut section = Section::of(node, if std::ptr::eq(node, properties) { key } else { "Globals" }, left_out);
        for (key, value) in settings(&mut section, checked) {
            match (base.get_mut(&key), value) {
                // A function's variables are added to the global ones.
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

fn settings(section: &mut Section<'_>, checked: &[&str]) -> Map<String, Value> {
    section.take("PackageType");
    if section.take("FunctionName").is_some_and(|name| section::text(name).is_none()) {
        section.say("a name has no variables; the function has that of its resource".to_owned());
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
    let mut triggers = section.section("Events", |events| triggers(events, checked)).unwrap_or_default();
    if let Some(auth) = section.section("FunctionUrlConfig", |url| url.text("AuthType")).flatten() {
        let signed = auth != "NONE";
        if signed {
            section.say("calls are signed with a key pair of Sampan (docs/TRIGGERS.md)".to_owned());
        }
        triggers.insert("url".to_owned(), events::url(if signed { "CAM" } else { "NONE" }));
    }
    let triggers = Some(triggers).filter(|triggers| !triggers.is_empty());
    let tmp = section.section("EphemeralStorage", |storage| storage.parsed::<u32>("Size")).flatten();
    let tmp = tmp.filter(|mb| *mb > TMP_MB_OF_LAMBDA);
    let reserved = section.parsed::<u32>("ReservedConcurrentExecutions");
    let reserved = reserved.map(|count| json!(u64::from(count) * u64::from(memory_mb.unwrap_or(MEMORY_MB_DEFAULT))));
    let provisioned = section
        .section("ProvisionedConcurrencyConfig", |config| config.parsed::<u32>("ProvisionedConcurrentExecutions"));
    let provisioned = provisioned.flatten().map(|number| json!({ "number": number }));
    if provisioned.is_some() && alias.is_none() {
        section.say("provisioned instances are of a published version; add publish and provisioned".to_owned());
    }
    let mounts = events::mounts(section, "FileSystemConfigs", mount);
    for (key, instead) in [
        ("Architectures", "the image has to be for this machine's architecture"),
        ("Layers", "an image has its own layers; build these into it"),
    ] {
        if section.take(key).is_some() {
            section.say(instead.to_owned());
        }
    }
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
        ("tmp", tmp.map(Into::into)),
        ("reserved", reserved),
        ("provisioned", provisioned.filter(|_| alias.is_some())),
        ("mounts", mounts),
        ("publish", alias.map(|_| Value::Bool(true))),
        ("aliases", aliases),
        ("triggers", triggers.map(Value::Object)),
    ])
}

/// A trigger for a bucket; a bucket of the template is named by its logical name in lower case.
fn bucket(properties: &Node) -> Result<Value, String> {
    let name = match properties.get("Bucket").map(|node| (&node.content, node.tag.as_deref())) {
        Some((Content::Scalar(bucket), None)) => bucket.text.clone(),
        Some((Content::Scalar(bucket), Some("!Ref"))) => bucket.text.to_ascii_lowercase(),
        _ => return Err("its bucket cannot be read; declare a trigger of type cos".to_owned()),
    };
    let event = match properties.get("Events").map(|node| &node.content) {
        Some(Content::Scalar(event)) => event.text.clone(),
        Some(Content::List(list)) if list.len() == 1 => section::text(&list[0]).unwrap_or_default(),
        _ => return Err("it has several events; declare a trigger of type cos for each".to_owned()),
    };
    let rules = properties.get("Filter").and_then(|filter| filter.get("S3Key")?.get("Rules"));
    let rules = match rules.map(|rules| &rules.content) {
        Some(Content::List(rules)) => rules.as_slice(),
        _ => &[],
    };
    let filter = |kind: &str| {
        let is_it = |rule: &&Node| rule.get("Name").and_then(section::text).is_some_and(|name| name == kind);
        rules.iter().find(is_it)?.get("Value").and_then(section::text)
    };
    let mut trigger = events::bucket(&event, &[("Prefix", filter("prefix")), ("Suffix", filter("suffix"))])?;
    trigger["desc"]["Bucket"] = name.into();
    Ok(trigger)
}

/// A mount from an entry of `FileSystemConfigs`; the volume is named after the last part of the
/// path.
fn mount(entry: &Node) -> Result<types::Mount, String> {
    let path = entry.get("LocalMountPath").and_then(section::text);
    let path = path.ok_or("it has no LocalMountPath that can be read; declare a mount (docs/VOLUMES.md)")?;
    let path = path.trim_end_matches('/');
    let volume = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    types::Mount::new(&volume, "", path, false)
}

/// API event types with authentication in `Globals`.
fn checked_apis(root: &Node) -> Vec<&'static str> {
    let of_all = |kind: &&str| root.get("Globals").and_then(|all| all.get(kind)?.get("Auth")).is_some();
    ["Api", "HttpApi"].into_iter().filter(of_all).collect()
}

/// Whether an API event has authentication, or refers to an API of the template that may have it.
fn is_checked(event: &Node) -> bool {
    let has = |key: &&str| event.get("Properties").is_some_and(|given| given.get(key).is_some());
    ["Auth", "ApiId", "RestApiId"].iter().any(has)
}

/// Converts the events of a function to triggers; reports events without a counterpart.
fn triggers(events: &mut Section<'_>, checked: &[&str]) -> Map<String, Value> {
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
                None => format!("{expression} is not a cron expression; declare a timer"),
            },
            "Api" | "HttpApi" if checked.contains(&kind.as_str()) || is_checked(event) => {
                "its calls are checked (Auth), or may be by the API that it names; declare a trigger of type http with \
                 AuthType CAM"
                    .to_owned()
            }
            "Api" | "HttpApi" => {
                triggers.insert(name, events::open_url());
                "its function gets the request as the event of docs/TRIGGERS.md, on every path and method".to_owned()
            }
            "S3" => match bucket(event.get("Properties").unwrap_or(event)) {
                Ok(trigger) => {
                    triggers.insert(name, trigger);
                    "its function gets events in the form of COS (docs/TRIGGERS.md)".to_owned()
                }
                Err(problem) => problem,
            },
            other => format!("triggers of {other} are not supported (docs/TRIGGERS.md)"),
        };
        events.say(instead);
    }
    triggers
}
