//! `sampan trigger …`: triggers of a function.

use serde_json::{Map, Value, json};

use crate::args::trigger::{
    CreateArgs, DescArgs, FunctionArgs, NameArgs, NextArgs, TextArgs, TriggerArgs, TriggerCommand, UpdateArgs,
};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::commands::suggest;
use crate::declared::nearest;
use crate::failure::{Exit, Failure};
use crate::{local_time, output, terminal};

/// Page size of listings.
const PAGE_LEN: usize = 100;

/// Runs the command.
pub async fn run(connection: &Connection, args: TriggerArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        TriggerCommand::Create(args) => create(&client, &args, format).await,
        TriggerCommand::List(args) => list(&client, &args, format).await,
        TriggerCommand::Update(args) => update(&client, &args, format).await,
        TriggerCommand::Delete(args) => {
            let request = found(&client, &args).await?.named;
            client.call("DeleteTrigger", &request).await?;
            done(&args.name, "deleted", format)
        }
        TriggerCommand::Test(args) => test(&client, &args, format).await,
        TriggerCommand::Next(args) => next(&client, &args, format).await,
        TriggerCommand::Pause(args) => set_enabled(&client, &args, false, format).await,
        TriggerCommand::Resume(args) => set_enabled(&client, &args, true, format).await,
    }
}

async fn create(client: &Client, args: &CreateArgs, format: Output) -> anyhow::Result<()> {
    let (function, qualifier) = split(&args.function);
    let mut request = json!({
        "FunctionName": function, "Namespace": args.namespace, "Qualifier": qualifier.unwrap_or("$LATEST"),
        "TriggerName": args.name, "Type": args.kind, "Enable": if args.paused { "CLOSE" } else { "OPEN" },
        "TriggerDesc": desc(&args.desc, None)?.unwrap_or_default(),
    });
    add_texts(&mut request, &args.texts);
    let mut answer = client.call("CreateTrigger", &request).await?;
    client.localize(&mut answer).await?;
    let made = answer["TriggerInfo"].clone();
    warn(&made);
    show(&[made], format)
}

async fn update(client: &Client, args: &UpdateArgs, format: Output) -> anyhow::Result<()> {
    let Found { named: mut request, info } = found(client, &args.trigger).await?;
    if let Some(desc) = desc(&args.desc, info["TriggerDesc"].as_str())? {
        request["TriggerDesc"] = desc.into();
    }
    add_texts(&mut request, &args.texts);
    client.call("UpdateTrigger", &request).await?;
    let changed = found(client, &args.trigger).await?.info;
    warn(&changed);
    show(&[changed], format)
}

/// Prints a trigger's warnings to standard error.
fn warn(trigger: &Value) {
    for warning in trigger["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("warning: {}", terminal::message(warning));
    }
}

async fn list(client: &Client, args: &FunctionArgs, format: Output) -> anyhow::Result<()> {
    show(&triggers(client, args, None).await?, format)
}

async fn test(client: &Client, args: &NameArgs, format: Output) -> anyhow::Result<()> {
    let request = found(client, args).await?.named;
    let answer = client.call_extension("TestTrigger", &request).await?;
    let id = answer.pointer("/Result/FunctionRequestId").and_then(Value::as_str).unwrap_or_default();
    match format {
        Output::Json => output::json(&json!({ "request_id": id })),
        Output::Text => {
            println!("{id}");
            Ok(())
        }
    }
}

async fn next(client: &Client, args: &NextArgs, format: Output) -> anyhow::Result<()> {
    let mut request = found(client, &args.trigger).await?.named;
    request["Limit"] = args.count.into();
    let answer = client.call_extension("GetTriggerTimes", &request).await?;
    let times = answer.get("Times").and_then(Value::as_array).cloned().unwrap_or_default();
    let local = |time: &Value| {
        let time: Option<jiff::Timestamp> = time.as_str()?.parse().ok();
        Some(local_time::rfc3339_s(time?.as_millisecond()))
    };
    let times: Vec<String> = times.iter().filter_map(local).collect();
    if format == Output::Json {
        return output::json(&times);
    }
    for time in times {
        println!("{time}");
    }
    Ok(())
}

async fn set_enabled(client: &Client, args: &NameArgs, enabled: bool, format: Output) -> anyhow::Result<()> {
    let Found { named: mut request, info } = found(client, args).await?;
    let word = if enabled { "resumed" } else { "paused" };
    // Idempotent: the API is called only for a change.
    if (info["Enable"] == 1) != enabled {
        request["Enable"] = if enabled { "OPEN" } else { "CLOSE" }.into();
        client.call("UpdateTriggerStatus", &request).await?;
    }
    done(&args.name, word, format)
}

fn done(name: &str, word: &str, format: Output) -> anyhow::Result<()> {
    match format {
        Output::Json => output::json(&json!({ word: name })),
        Output::Text => {
            println!("{word} {name}");
            Ok(())
        }
    }
}

/// A trigger found by name: request fields that identify it, and its description in answers.
struct Found {
    named: Value,
    info: Value,
}

async fn found(client: &Client, args: &NameArgs) -> anyhow::Result<Found> {
    let of = &args.function;
    let mut there = triggers(client, of, Some(&args.name)).await?;
    there.retain(|trigger| args.kind.as_deref().is_none_or(|kind| trigger["Type"] == kind));
    let (function, _) = split(&of.function);
    let info = match there.len() {
        0 => {
            let message = format!("function {}/{function} has no trigger {}", of.namespace, args.name);
            let hint = hint(client, args).await?;
            return Err(Failure::new(Exit::NotFound, message, hint).into());
        }
        1 => there.remove(0),
        n => {
            let message = format!("function {}/{function} has {n} triggers {}", of.namespace, args.name);
            let hint = "Select one with --type or FUNCTION:QUALIFIER.";
            return Err(Failure::new(Exit::Usage, message, hint).into());
        }
    };
    let named = json!({
        "FunctionName": function, "Namespace": of.namespace, "TriggerName": args.name, "Type": info["Type"],
        "Qualifier": info["Qualifier"],
    });
    Ok(Found { named, info })
}

/// Hint about an unknown trigger: the nearest existing name.
async fn hint(client: &Client, args: &NameArgs) -> anyhow::Result<String> {
    let (function, _) = split(&args.function.function);
    let of = FunctionArgs { function: function.to_owned(), namespace: args.function.namespace.clone() };
    let all = triggers(client, &of, None).await?;
    let names: Vec<String> =
        all.iter().filter_map(|trigger| Some(trigger["TriggerName"].as_str()?.to_owned())).collect();
    let list = format!("`sampan trigger list {function}` shows all.");
    if names.contains(&args.name) {
        return Ok(format!("A trigger of that name exists for another type, version or alias. {list}"));
    }
    Ok(match nearest(&args.name, names.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean `{near}`? {list}"),
        None => format!("{} {list}", suggest::listed(&format!("function {function}"), "trigger", &names)),
    })
}

async fn triggers(client: &Client, args: &FunctionArgs, name: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let (function, qualifier) = split(&args.function);
    let filters = [("TriggerName", name), ("Qualifier", qualifier)];
    let filter = |(name, value): (&str, Option<&str>)| Some(json!({"Name": name, "Values": [value?]}));
    let filters: Vec<Value> = filters.into_iter().filter_map(filter).collect();
    let mut triggers: Vec<Value> = Vec::new();
    loop {
        let request = json!({"FunctionName": function, "Namespace": args.namespace, "Filters": filters,
            "Offset": triggers.len(), "Limit": PAGE_LEN, "OrderBy": "add_time", "Order": "ASC"});
        let mut answer = client.call("ListTriggers", &request).await?;
        client.localize(&mut answer).await?;
        let page = answer.get("Triggers").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = page.len() < PAGE_LEN;
        triggers.extend(page);
        if last {
            return Ok(triggers);
        }
    }
}

/// Whether calls of a function without a qualifier must be signed: a URL with `AuthType` CAM
/// applies to all versions and aliases without a URL of their own.
pub async fn wants_signatures(client: &Client, namespace: &str, function: &str) -> anyhow::Result<bool> {
    let of = FunctionArgs { function: function.to_owned(), namespace: namespace.to_owned() };
    Ok(is_signed(&triggers(client, &of, None).await?))
}

fn is_signed(triggers: &[Value]) -> bool {
    let urls = || triggers.iter().filter(|trigger| trigger["Type"] == "http");
    let own = urls().find(|trigger| trigger["Qualifier"] == "$DEFAULT");
    let deciding: Vec<&Value> = own.map_or_else(|| urls().collect(), |own| vec![own]);
    let is_cam =
        |trigger: &&Value| trigger["TriggerDesc"].as_str().is_some_and(|desc| desc.contains(r#""AuthType":"CAM""#));
    deciding.iter().any(is_cam)
}

fn split(function: &str) -> (&str, Option<&str>) {
    function.split_once(':').map_or((function, None), |(name, qualifier)| (name, Some(qualifier)))
}

/// `TriggerDesc` from the options; missing ones are taken from `old`. `None` if no option is given.
fn desc(args: &DescArgs, old: Option<&str>) -> anyhow::Result<Option<String>> {
    let given: [(&str, Option<Value>); 5] = [
        ("cron", args.cron.as_deref().map(Value::from)),
        ("zone", args.zone.as_deref().map(Value::from)),
        ("max_age_s", args.max_age.map(Value::from)),
        ("rate_per_minute", args.rate.map(Value::from)),
        ("concurrency", args.concurrency.map(Value::from)),
    ];
    if given.iter().all(|(_, value)| value.is_none()) {
        return Ok(args.desc.clone());
    }
    let mut object: Map<String, Value> = match &args.desc {
        Some(text) => serde_json::from_str(text).map_err(|_| {
            let hint = "Write it as JSON, or leave out --max-age, --rate and --concurrency.";
            Failure::new(Exit::Usage, "--desc is not a JSON object, so that no options can be added to it", hint)
        })?,
        None => old.map(serde_json::from_str).transpose()?.unwrap_or_default(),
    };
    object.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Ok(Some(Value::Object(object).to_string()))
}

fn add_texts(request: &mut Value, texts: &TextArgs) {
    for (field, text) in [("CustomArgument", &texts.argument), ("Description", &texts.description)] {
        if let Some(text) = text {
            request[field] = text.as_str().into();
        }
    }
}

fn show(triggers: &[Value], format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(&triggers);
    }
    let rows: Vec<Vec<String>> = triggers.iter().map(row).collect();
    output::table(&["NAME", "TYPE", "QUALIFIER", "STATE", "DESCRIPTION", "CHANGED", "URL"], &rows);
    Ok(())
}

/// Splits the description of an http trigger into the part without URLs and the URL to call: the
/// external one if present, otherwise the internal one.
fn without_urls(desc: &str) -> Option<(String, String)> {
    let mut object: Value = serde_json::from_str(desc).ok()?;
    let net = object.get_mut("NetConfig")?.as_object_mut()?;
    let url = net.get("ExtranetUrl").or_else(|| net.get("IntranetUrl"))?.as_str()?.to_owned();
    net.retain(|key, _| !key.ends_with("Url"));
    Some((object.to_string(), url))
}

fn row(trigger: &Value) -> Vec<String> {
    let text = |name: &str| trigger.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let state = if trigger["Enable"] == 1 { "open" } else { "paused" }.to_owned();
    let desc = text("TriggerDesc");
    let (desc, url) = without_urls(&desc).unwrap_or((desc, String::new()));
    vec![text("TriggerName"), text("Type"), text("Qualifier"), state, desc, text("ModTime"), url]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_a_description_and_keep_what_they_do_not_name() {
        let args = DescArgs { cron: Some("0 9 * * *".to_owned()), rate: Some(2), ..DescArgs::default() };
        assert_eq!(desc(&args, None).expect("valid").as_deref(), Some(r#"{"cron":"0 9 * * *","rate_per_minute":2}"#));
        let old = r#"{"cron":"1 1 * * *","zone":"UTC"}"#;
        let changed = desc(&args, Some(old)).expect("valid");
        assert_eq!(changed.as_deref(), Some(r#"{"cron":"0 9 * * *","rate_per_minute":2,"zone":"UTC"}"#));
        assert_eq!(desc(&DescArgs::default(), Some(old)).expect("valid"), None);
        let added = DescArgs { desc: Some(r#"{"Scheme":"github"}"#.to_owned()), rate: Some(2), ..DescArgs::default() };
        let added = desc(&added, Some(old)).expect("valid");
        assert_eq!(added.as_deref(), Some(r#"{"Scheme":"github","rate_per_minute":2}"#));
        let text = DescArgs { desc: Some("* * * * *".to_owned()), rate: Some(2), ..DescArgs::default() };
        assert!(desc(&text, None).is_err());
        let raw = DescArgs { desc: Some("* * * * *".to_owned()), ..DescArgs::default() };
        assert_eq!(desc(&raw, Some(old)).expect("valid").as_deref(), Some("* * * * *"));
    }

    #[test]
    fn the_url_of_a_function_has_a_column_of_its_own() {
        let desc = r#"{"AuthType":"NONE","NetConfig":{"EnableExtranet":true,"ExtranetUrl":"http://a/fn/b/c/"}}"#;
        let row = row(&json!({"TriggerName": "url", "Type": "http", "TriggerDesc": desc}));
        assert_eq!(row[4], r#"{"AuthType":"NONE","NetConfig":{"EnableExtranet":true}}"#);
        assert_eq!(row.last().map(String::as_str), Some("http://a/fn/b/c/"));
    }

    #[test]
    fn one_url_with_cam_closes_what_has_no_url_of_its_own() {
        let url = |qualifier: &str, auth: &str| {
            let desc = json!({"AuthType": auth}).to_string();
            json!({"Type": "http", "Qualifier": qualifier, "TriggerDesc": desc})
        };
        let timer = json!({"Type": "timer", "Qualifier": "$LATEST", "TriggerDesc": r#"{"cron":"* * * * *"}"#});
        assert!(!is_signed(&[timer.clone(), url("$LATEST", "NONE")]));
        assert!(is_signed(&[timer, url("live", "CAM"), url("$LATEST", "NONE")]));
        assert!(!is_signed(&[url("live", "CAM"), url("$DEFAULT", "NONE")]));
    }

    #[test]
    fn a_function_may_name_a_qualifier() {
        assert_eq!((split("hello"), split("hello:prod")), (("hello", None), ("hello", Some("prod"))));
    }
}
