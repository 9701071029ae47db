//! Imports the function of a `serverless.yml` of Tencent's SCF component.

use serde_json::{Map, Value, json};

use super::section::{self, Section};
use super::{events, memory, object};
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::{Content, Node};

/// Keys of the component itself, not of the function.
const OF_THE_COMPONENT: [&str; 6] = ["component", "name", "app", "org", "stage", "inputs"];
/// Default stage.
const STAGE: &str = "dev";

/// Returns the project's name and its function.
pub fn functions(
    root: &Node,
    domains: &mut Map<String, Value>,
    left_out: &mut Vec<String>,
) -> Result<(String, Map<String, Value>), Error> {
    let of_root = |key: &str| root.get(key).and_then(section::text);
    let Some(inputs) = root.get("inputs") else {
        return Err(Error::new(root.place.clone(), "`inputs` is missing", "It has the settings of the function."));
    };
    let Some(image) = inputs.get("image") else {
        let hint = "Only image functions can be imported; build an image of this one's code.";
        return Err(Error::new(inputs.place.clone(), "the function has no image", hint));
    };
    let project = of_root("name").unwrap_or_default();
    let resolved = |text: &str| {
        let stage = of_root("stage").unwrap_or_else(|| STAGE.to_owned());
        let text = text.replace("${name}", &project).replace("${stage}", &stage);
        text.replace("${app}", &of_root("app").unwrap_or_default())
    };
    let name = match inputs.get("name").map(|node| &node.content) {
        Some(Content::Scalar(scalar)) => resolved(&scalar.text),
        _ => project.clone(),
    };
    let namespace = inputs.get("namespace").and_then(section::text).filter(|namespace| namespace != "default");
    let key = namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
    let mut section = Section::of(inputs, "", left_out);
    for known in ["name", "namespace", "image"] {
        section.take(known);
    }
    let function = function(&key, &mut section, domains);
    section.finish();
    let mut image = Section::of(image, "image", left_out);
    let function = function.into_iter().chain(of_image(&mut image)).collect();
    image.finish();
    for (key, node) in root.entries().iter().filter(|(key, _)| !OF_THE_COMPONENT.contains(&key.text.as_str())) {
        left_out.push(format!("{}: {}: not imported", node.place, key.text));
    }
    Ok((project, Map::from_iter([(key, Value::Object(function))])))
}

fn of_image(image: &mut Section<'_>) -> Map<String, Value> {
    image.take("imageType");
    object([
        ("image", image.text("imageUrl").or_else(|| image.text("imageUri"))),
        ("registry_id", image.text("registryId")),
        ("command", image.text("command")),
        ("args", image.text("args")),
        ("port", image.parsed::<u16>("imagePort").map(Into::into)),
    ])
}

fn function(name: &str, inputs: &mut Section<'_>, domains: &mut Map<String, Value>) -> Map<String, Value> {
    let kind = inputs.text("type").unwrap_or_else(|| "event".into());
    let memory_mb = inputs.parsed("memorySize").map(|mb| memory(mb, inputs));
    let environment = inputs.section("environment", |section| section.texts("variables")).flatten();
    let public = inputs.parsed::<bool>("publicAccess");
    let triggers = inputs.take("events").map(|events| triggers(name, events, inputs, domains));
    let mounts = events::mounts(inputs, "cfs", mount);
    object([
        ("type", Some(kind)),
        ("description", inputs.text("description")),
        ("memory", memory_mb.map(Into::into)),
        ("timeout", inputs.parsed::<u32>("timeout").map(Into::into)),
        ("init_timeout", inputs.parsed::<u32>("initTimeout").map(Into::into)),
        ("environment", environment),
        ("tags", inputs.texts("tags")),
        ("async_run", inputs.parsed::<bool>("asyncRunEnable").map(Into::into)),
        ("public_network", public.map(Into::into)),
        ("mounts", mounts),
        ("triggers", triggers.filter(|triggers| !triggers.is_empty()).map(Value::Object)),
    ])
}

/// A mount from an entry of `cfs`.
fn mount(entry: &Node) -> Result<types::Mount, String> {
    let text = |key: &str| entry.get(key).and_then(section::text);
    let (Some(volume), Some(path)) = (text("cfsId"), text("localMountDir")) else {
        return Err("it has no cfsId or no localMountDir; declare a mount (docs/VOLUMES.md)".to_owned());
    };
    let sub = text("remoteMountDir").unwrap_or_default();
    let id = |key: &str| match text(key).map(|text| text.parse::<u32>()) {
        None => Ok(types::mount::OWNER_DEFAULT),
        Some(Ok(id)) => Ok(id),
        Some(Err(_)) => Err(format!("{key} is not {}", <u32 as section::Parsed>::WHAT)),
    };
    let path = if path == "/" { path.as_str() } else { path.trim_end_matches('/') };
    let mount = types::Mount::new(&volume, sub.trim_matches('/'), path, false)?;
    Ok(types::Mount { user_id: id("userId")?, group_id: id("userGroupId")?, ..mount })
}

/// Converts a list of events to triggers; reports events without a counterpart.
fn triggers(
    function: &str,
    list: &Node,
    inputs: &mut Section<'_>,
    domains: &mut Map<String, Value>,
) -> Map<String, Value> {
    let Content::List(items) = &list.content else {
        inputs.say(section::problem(list, "a list"));
        return Map::new();
    };
    let mut triggers = Map::new();
    for (kind, node) in items.iter().flat_map(Node::entries).map(|(key, node)| (key, node)) {
        let parameters = node.get("parameters").unwrap_or(node);
        let given = |key: &str| parameters.get(key).and_then(section::text);
        let path = format!("events.{}", kind.text);
        let made = match kind.text.as_str() {
            "timer" => timer(&given).map(|trigger| (format!("timer-{}", triggers.len() + 1), trigger)),
            "cos" => bucket(parameters),
            "http" => Ok(("url".to_owned(), events::url(&given("authType").unwrap_or_else(|| "NONE".to_owned())))),
            "apigw" if is_protected(parameters) => {
                Err("its endpoints ask for keys; declare a trigger of type http with AuthType CAM".to_owned())
            }
            "apigw" => {
                for said in own_domains(function, parameters, domains) {
                    inputs.say_of(&kind.place, &path, &said);
                }
                Ok((given("serviceName").unwrap_or_else(|| "url".to_owned()), events::open_url()))
            }
            other => Err(format!("triggers of {other} are not supported (docs/TRIGGERS.md)")),
        };
        match made {
            Ok((name, Value::Object(mut trigger))) => {
                let name = if kind.text == "timer" { given("name").unwrap_or(name) } else { name };
                if let Some(qualifier) = given("qualifier").filter(|qualifier| qualifier != "$LATEST") {
                    trigger.insert("qualifier".to_owned(), qualifier.into());
                }
                if given("enable").is_some_and(|enable| enable == "false" || enable == "CLOSE") {
                    trigger.insert("paused".to_owned(), true.into());
                }
                triggers.insert(name, Value::Object(trigger));
            }
            Ok(_) => {}
            Err(instead) => inputs.say_of(&kind.place, &path, &instead),
        }
    }
    triggers
}

fn timer(given: &dyn Fn(&str) -> Option<String>) -> Result<Value, String> {
    let cron = given("cronExpression").ok_or("it has no cronExpression that can be read; declare a timer")?;
    let argument = given("argument").map(Value::from);
    Ok(Value::Object(object([("cron", Some(json!(cron))), ("argument", argument)])))
}

/// A trigger for a bucket, named after the bucket as in the cloud.
fn bucket(parameters: &Node) -> Result<(String, Value), String> {
    let given = |key: &str| parameters.get(key).and_then(section::text);
    let bucket = given("bucket").or_else(|| given("name")).ok_or("it has no bucket that can be read")?;
    let filter = |key: &str| parameters.get("filter")?.get(key).and_then(section::text);
    let event = given("events").unwrap_or_else(|| "cos:ObjectCreated:*".to_owned());
    let trigger = events::bucket(&event, &[("Prefix", filter("prefix")), ("Suffix", filter("suffix"))])?;
    Ok((bucket, trigger))
}

/// Whether an endpoint requires keys.
fn is_protected(parameters: &Node) -> bool {
    let Some(Content::List(endpoints)) = parameters.get("endpoints").map(|node| &node.content) else { return false };
    endpoints.iter().any(|endpoint| ["auth", "usagePlan", "app"].iter().any(|key| endpoint.get(key).is_some()))
}

/// Adds the domains of an API gateway; returns notes on what they need.
fn own_domains(function: &str, parameters: &Node, domains: &mut Map<String, Value>) -> Vec<String> {
    let Some(Content::List(list)) = parameters.get("customDomains").map(|node| &node.content) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for entry in list {
        let Some(name) = entry.get("domain").and_then(section::text) else {
            said.push("a domain cannot be read; declare it below domains".to_owned());
            continue;
        };
        let certificate = entry.get("certificateId").and_then(section::text);
        if let Some(certificate) = &certificate {
            said.push(format!("the domain {name} needs the certificate {certificate} in the gateway's settings"));
        }
        let protocol = certificate.as_ref().map(|_| json!("both"));
        let routes = Some(json!({ "/*": function }));
        let domain =
            object([("protocol", protocol), ("certificate", certificate.map(Value::from)), ("routes", routes)]);
        domains.insert(name, Value::Object(domain));
    }
    said
}
