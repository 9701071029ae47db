//! A `serverless.yml` of Tencent's SCF component: one function.

use serde_json::{Map, Value, json};

use super::section::{self, Section};
use super::{memory, object};
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::{Content, Node};

/// Keys of the component itself, which say nothing of the function.
const OF_THE_COMPONENT: [&str; 6] = ["component", "name", "app", "org", "stage", "inputs"];
/// The stage of a file that names none.
const STAGE: &str = "dev";

/// The project's name, and its function.
pub fn functions(root: &Node, left_out: &mut Vec<String>) -> Result<(String, Map<String, Value>), Error> {
    let of_root = |key: &str| root.get(key).and_then(section::text);
    let Some(inputs) = root.get("inputs") else {
        return Err(Error::new(root.place.clone(), "`inputs` is missing", "It has the settings of the function."));
    };
    let Some(image) = inputs.get("image") else {
        let hint = "Only functions of images can be imported; make an image of this one's code.";
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
    let function = function(&mut section);
    section.finish();
    let mut image = Section::of(image, "image", left_out);
    let function = function.into_iter().chain(of_image(&mut image)).collect();
    image.finish();
    for (key, node) in root.entries().iter().filter(|(key, _)| !OF_THE_COMPONENT.contains(&key.text.as_str())) {
        left_out.push(format!("{}: {}: left out", node.place, key.text));
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

fn function(inputs: &mut Section<'_>) -> Map<String, Value> {
    let kind = inputs.text("type").unwrap_or_else(|| "event".into());
    let memory_mb = inputs.parsed("memorySize").map(|mb| memory(mb, inputs));
    let environment = inputs.section("environment", |section| section.texts("variables")).flatten();
    let public = inputs.parsed::<bool>("publicAccess");
    let triggers = inputs.take("events").map(|events| triggers(events, inputs));
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
        ("triggers", triggers.filter(|triggers| !triggers.is_empty()).map(Value::Object)),
    ])
}

/// The timers of a list of events; the others are said to be left out.
fn triggers(events: &Node, inputs: &mut Section<'_>) -> Map<String, Value> {
    let Content::List(items) = &events.content else { return Map::new() };
    let mut triggers = Map::new();
    for (kind, node) in items.iter().flat_map(Node::entries).map(|(key, node)| (key, node)) {
        let given = |key: &str| {
            let of = |node: &Node| node.get(key).and_then(section::text);
            node.get("parameters").and_then(of).or_else(|| of(node))
        };
        let instead = match (kind.text.as_str(), given("cronExpression")) {
            ("timer", Some(cron)) => {
                let name = given("name").unwrap_or_else(|| format!("timer-{}", triggers.len() + 1));
                let paused = given("enable").is_some_and(|enable| enable == "false" || enable == "CLOSE");
                let argument = given("argument").map(Value::from);
                let paused = paused.then_some(Value::Bool(true));
                let trigger = object([("cron", Some(json!(cron))), ("argument", argument), ("paused", paused)]);
                triggers.insert(name, Value::Object(trigger));
                continue;
            }
            ("apigw", _) => "a web function is called at its URL; declare triggers of type http, or domains",
            ("cos", _) => "declare a trigger of type cos, with the store that it asks (docs/TRIGGERS.md)",
            _ => "declare a trigger of another type (docs/TRIGGERS.md)",
        };
        inputs.say_of(&kind.place, &format!("events.{}", kind.text), instead);
    }
    triggers
}
