//! `sampan deploy NAME`: creates or updates a function and waits until it is active.

pub(super) mod code;
mod concurrency;
pub(super) mod unchangeable;

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};
use types::ErrorCode;
use types::tags::{INIT, RERUN, RUNTIME, START_CHECK, STOP_GRACE};

use crate::args::size::Megabytes;
use crate::args::{Connection, DeployArgs, Kind, Output};
use crate::client::Client;
use crate::commands::{invoke, trigger};
use crate::env_file;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::terminal;

/// Polling interval for a function that is being prepared.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// API object with Sampan's own settings.
const EXTRAS: &str = "Sampan";

/// Number of request fields that identify the function.
const NAMES_LEN: usize = 2;

/// Deploys the function.
pub async fn run(connection: &Connection, args: DeployArgs, format: Output) -> anyhow::Result<()> {
    let args = with_sources(args)?;
    let client = Client::new(connection)?;
    check(&client, &args)?;
    if let Some(note) = port_note(&args).filter(|_| format == Output::Text) {
        eprintln!("{note}");
    }
    let name = json!({"FunctionName": args.name, "Namespace": args.namespace});
    let existing = match client.call("GetFunction", &name).await {
        // The API accepts one change of a function at a time.
        Ok(function) if is_pending(&function) && !args.no_wait => {
            check_pending(&client, &args, &function).await?;
            Some(wait_settled(&client, &args, format).await?)
        }
        Ok(function) => Some(function),
        Err(error) if is_unknown_function(&error) => None,
        Err(error) => return Err(error),
    };
    let started = Instant::now();
    match &existing {
        None => create(&client, &args).await?,
        Some(function) => {
            if let Some(note) = removal_note(&args, function).filter(|_| format == Output::Text) {
                eprintln!("{note}");
            }
            update(&client, &args, function).await?;
        }
    }
    if args.no_wait {
        return report(&client, &args, &client.call("GetFunction", &name).await?, started, format).await;
    }
    let function = wait_active(&client, &args, format).await?;
    report(&client, &args, &function, started, format).await
}

/// Merges the values of `--env-file` and `--secret` into variables and files.
fn with_sources(mut args: DeployArgs) -> anyhow::Result<DeployArgs> {
    args.env = env_file::merged(&std::mem::take(&mut args.env_file), args.env)?;
    args.extras.place_secrets(&mut args.env);
    Ok(args)
}

/// Checks the arguments that can be checked without the function.
fn check(client: &Client, args: &DeployArgs) -> anyhow::Result<()> {
    variables(&args.env)?;
    concurrency::check(args)?;
    code::of(client, args, None).map(drop)
}

/// Validates a change while an earlier change is pending. The API validates the values before it
/// rejects the change for the function's status.
async fn check_pending(client: &Client, args: &DeployArgs, function: &Value) -> anyhow::Result<()> {
    unchangeable::check(args, function)?;
    let request = configuration(args, Some(function))?;
    if request.len() <= NAMES_LEN {
        return Ok(());
    }
    match client.call("UpdateFunctionConfiguration", &Value::Object(request)).await {
        Err(error) if api_code(&error) != Some(ErrorCode::FAILED_UPDATE_FUNCTION_CONFIGURATION.name) => Err(error),
        // If the function became ready meanwhile, the change was applied; the deploy applies the
        // same values again.
        _ => Ok(()),
    }
}

/// Note about a variable `PORT` that differs from the port that Sampan calls.
fn port_note(args: &DeployArgs) -> Option<String> {
    let given = args.env.iter().rev().find_map(|pair| pair.strip_prefix("PORT="))?;
    if args.port.is_some_and(|port| port.to_string() == given) {
        return None;
    }
    Some(format!(
        "note: --env PORT={given} does not change the port that Sampan calls; --port {given} sets both the port and \
         the variable PORT"
    ))
}

/// Note about variables of the function that the deploy does not list and thus removes: as in the
/// API, all variables are one setting.
fn removal_note(args: &DeployArgs, function: &Value) -> Option<String> {
    if args.env.is_empty() || args.env == [""] {
        return None;
    }
    let given: Vec<&str> = args.env.iter().filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    let served = function.pointer("/Serving/Environment/Variables");
    let there = served.or_else(|| function.pointer("/Environment/Variables"))?.as_array()?;
    let keys = there.iter().filter_map(|variable| variable["Key"].as_str());
    let removed: Vec<&str> = keys.filter(|key| !given.contains(key)).collect();
    (!removed.is_empty()).then(|| {
        format!(
            "note: removes {}: --env, --env-file and --secret of a deploy replace all variables",
            removed.join(", ")
        )
    })
}

fn api_code(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Failure>().and_then(Failure::api_code)
}

fn is_unknown_function(error: &anyhow::Error) -> bool {
    api_code(error).is_some_and(|code| code.starts_with("ResourceNotFound.Function"))
}

async fn create(client: &Client, args: &DeployArgs) -> anyhow::Result<()> {
    if args.image.is_none() {
        let message = format!("function {} does not exist yet, and no --image is given to create it", args.name);
        return Err(Failure::new(Exit::Usage, message, "Add --image, such as --image hello:v1.").into());
    }
    let mut request = configuration(args, None)?;
    if args.job && args.kind == Some(Kind::Web) {
        let message = "a job image has no server, which a web function needs";
        return Err(Failure::new(Exit::Usage, message, "Leave out --type web, or --job.").into());
    }
    if args.async_run && args.kind != Some(Kind::Event) && !args.job {
        let message = "--async-run is for event functions";
        return Err(Failure::new(Exit::Usage, message, "Add --type event, or --job.").into());
    }
    let kind = if args.job || args.kind == Some(Kind::Event) { "Event" } else { "HTTP" };
    request.insert("Type".to_owned(), kind.into());
    request.insert("Code".to_owned(), code::of(client, args, None)?);
    if args.async_run {
        request.insert("AsyncRunEnable".to_owned(), "TRUE".into());
    }
    if args.websocket {
        request.insert("ProtocolType".to_owned(), "WS".into());
    }
    let tags: Vec<Value> = tags(args).into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    if !tags.is_empty() {
        request.insert("Tags".to_owned(), tags.into());
    }
    client.call("CreateFunction", &Value::Object(request)).await?;
    Ok(())
}

/// Settings that are stored as tags, because the API has no fields for them.
fn tags(args: &DeployArgs) -> Vec<(&'static str, String)> {
    let runtime = args.runtime.clone().map(|runtime| (RUNTIME, runtime));
    let stop_grace = args.stop_grace.map(|seconds| (STOP_GRACE, seconds.to_string()));
    let init = args.init.then(|| (INIT, "on".to_owned()));
    let start_check = args.no_start_check.then(|| (START_CHECK, "off".to_owned()));
    let rerun = args.rerun.then(|| (RERUN, "on".to_owned()));
    runtime.into_iter().chain(stop_grace).chain(init).chain(start_check).chain(rerun).collect()
}

/// Changes image and settings in one API call.
async fn update(client: &Client, args: &DeployArgs, function: &Value) -> anyhow::Result<()> {
    unchangeable::check(args, function)?;
    let given = configuration(args, None)?;
    // Further fields are present only if a flag was given.
    let is_configured = given.len() > NAMES_LEN;
    // A deploy without flags retries a failed change.
    let says_nothing = !is_configured && !code::is_changed(args);
    let tries_again = says_nothing && function["Status"].as_str().is_some_and(|status| status.ends_with("Failed"));
    // With flags, the change is relative to the serving state, so that no part of a failed change
    // remains.
    if let (false, Some(serving @ Value::Object(settings))) = (says_nothing, function.get("Serving")) {
        let settings = settings.iter().filter(|(name, value)| *name != "ImageConfig" && !value.is_null());
        let mut request: Map<String, Value> = settings.map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, given) in configuration(args, Some(serving))? {
            match (request.get_mut(&name), given) {
                // This object has many settings; those not given keep their serving values.
                (Some(Value::Object(served)), Value::Object(given)) if name == EXTRAS => served.extend(given),
                (_, given) => drop(request.insert(name, given)),
            }
        }
        request.insert("Code".to_owned(), code::of(client, args, serving.get("ImageConfig"))?);
        client.call("UpdateFunctionCode", &Value::Object(request)).await?;
        return Ok(());
    }
    let mut request = configuration(args, Some(function))?;
    if code::is_changed(args) || tries_again {
        request.insert("Code".to_owned(), code::of(client, args, function.pointer("/ImageConfig"))?);
        client.call("UpdateFunctionCode", &Value::Object(request)).await?;
    } else if is_configured {
        client.call("UpdateFunctionConfiguration", &Value::Object(request)).await?;
    }
    Ok(())
}

fn configuration(args: &DeployArgs, function: Option<&Value>) -> anyhow::Result<Map<String, Value>> {
    let mut request = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request.insert(name.to_owned(), value);
        }
    };
    set("FunctionName", Some(args.name.as_str().into()));
    set("Namespace", Some(args.namespace.as_str().into()));
    set("MemorySize", args.memory.map(|Megabytes(mb)| mb.into()));
    set(EXTRAS, args.extras.object());
    set("Timeout", args.timeout.map(Value::from));
    set("InitTimeout", args.init_timeout.map(Value::from));
    set("Description", args.description.as_deref().map(Value::from));
    set("OnSuccess", args.on_success.as_deref().map(Value::from));
    set("OnFailure", args.on_failure.as_deref().map(Value::from));
    let kept = function.and_then(|function| function.get("InstanceConcurrencyConfig"));
    set("InstanceConcurrencyConfig", concurrency::of(args, kept)?);
    set("ProtocolParams", args.websocket_idle.map(|idle_s| json!({"WSParams": {"IdleTimeOut": idle_s}})));
    if !args.env.is_empty() {
        set("Environment", Some(json!({"Variables": variables(&args.env)?})));
    }
    Ok(request)
}

/// Variables of `--env`; a single empty entry removes all variables.
pub(super) fn variables(pairs: &[String]) -> anyhow::Result<Vec<Value>> {
    if pairs == [""] {
        return Ok(Vec::new());
    }
    pairs.iter().map(|pair| variable(pair)).collect()
}

fn variable(pair: &str) -> anyhow::Result<Value> {
    let (key, value) = pair
        .split_once('=')
        .ok_or_else(|| Failure::new(Exit::Usage, format!("--env {pair:?} is not KEY=VALUE"), env_hint(pair)))?;
    Ok(json!({"Key": key, "Value": value}))
}

fn env_hint(pair: &str) -> &'static str {
    match pair {
        "" => "--env '' alone removes all variables; leave it out where variables are given: they replace all others.",
        _ => "Write --env KEY=VALUE, one variable per --env.",
    }
}

async fn wait_active(client: &Client, args: &DeployArgs, format: Output) -> anyhow::Result<Value> {
    let function = wait_settled(client, args, format).await?;
    match function.get("Status").and_then(Value::as_str) {
        Some("Active") => Ok(function),
        status => Err(failed(args, status.unwrap_or_default(), &function)),
    }
}

pub(super) fn is_pending(function: &Value) -> bool {
    matches!(function.get("Status").and_then(Value::as_str), Some("Creating" | "Updating" | "Publishing"))
}

/// Waits until no change of the function is pending.
async fn wait_settled(client: &Client, args: &DeployArgs, format: Output) -> anyhow::Result<Value> {
    let spinner = output::spinner(format, format!("preparing {}", args.name));
    let deadline = Instant::now() + Duration::from_secs(args.wait_timeout);
    let name = json!({"FunctionName": args.name, "Namespace": args.namespace});
    loop {
        let function = client.call("GetFunction", &name).await?;
        let text = |name: &str| function.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = text("Status");
        if !is_pending(&function) {
            spinner.finish_and_clear();
            return Ok(function);
        }
        if Instant::now() >= deadline {
            let message = format!("function {} is still {status} after {} s", args.name, args.wait_timeout);
            return Err(Failure::new(Exit::Failed, message, "The change continues; check it with `sampan get`.").into());
        }
        let detail = text("StatusDesc");
        let shown = terminal::line(if detail.is_empty() { &status } else { &detail }).into_owned();
        spinner.set_message(format!("{}: {shown}", args.name));
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn failed(args: &DeployArgs, status: &str, function: &Value) -> anyhow::Error {
    let reason = function.pointer("/StatusReasons/0");
    let field = |name: &str| reason.and_then(|r| r.get(name)).and_then(Value::as_str).unwrap_or_default();
    let message = format!("function {} is {status}: {}: {}", args.name, field("ErrorCode"), field("ErrorMessage"));
    let hint = if status == "UpdateFailed" {
        "Calls still get the previous version, and a deploy that changes anything starts from it; one without flags \
         tries the failed change again."
    } else {
        "Fix the cause and deploy again."
    };
    Failure::new(Exit::Failed, message, hint).into()
}

async fn report(
    client: &Client,
    args: &DeployArgs,
    function: &Value,
    started: Instant,
    format: Output,
) -> anyhow::Result<()> {
    let health = client.health().await.context("the function is deployed")?;
    let gateway = &health.gateway;
    // Jobs have no server, and thus no URL.
    let url = (!invoke::is_job(function)).then(|| format!("{gateway}/fn/{}/{}/", args.namespace, args.name));
    let host_url = url.as_ref().and_then(|_| health.host_url(&args.namespace, &args.name));
    let signed = url.is_some() && trigger::wants_signatures(client, &args.namespace, &args.name).await?;
    let text = |pointer: &str| function.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let elapsed = started.elapsed();
    match format {
        Output::Json => output::json(&json!({
            "function": args.name, "namespace": args.namespace, "status": text("/Status"),
            "image": text("/ImageConfig/ImageUri"), "url": url, "host_url": host_url, "signed": signed,
            "elapsed_ms": elapsed.as_millis() as u64,
        })),
        Output::Text => {
            println!("{} is {} ({:.1} s)", args.name, text("/Status"), elapsed.as_secs_f64());
            println!("image {}", text("/ImageConfig/ImageUri"));
            // The URL on the function's own host comes first: applications expect to own all paths.
            let urls: Vec<String> = host_url.into_iter().chain(url.clone()).collect();
            match url {
                Some(_) if signed => {
                    println!("call  {} (signed, as `sampan invoke {}` does)", urls.join("\n  or  "), args.name);
                }
                Some(_) => println!("call  {}", urls.join("\n  or  ")),
                None => println!("run   sampan invoke {}", args.name),
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn an_empty_variable_alone_takes_all_away() {
        let of = |pairs: &[&str]| variables(&pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[""]).expect("none"), [Value::Null; 0]);
        assert_eq!(of(&["A=b=c"]).expect("one"), [json!({"Key": "A", "Value": "b=c"})]);
        for pairs in [&["A=b", ""][..], &["", "A=b"], &["", ""]] {
            let refused = of(pairs).map_err(|error| Failure::of(&error)).expect_err("it is refused");
            assert_eq!(refused.exit(), Exit::Usage, "{pairs:?}");
            assert!(refused.hint().contains("alone removes all"), "{pairs:?}: {}", refused.hint());
        }
        assert!(of(&["A"]).is_err());
    }

    #[test]
    fn variables_that_a_deploy_removes_are_noted() {
        let note = |flags: &[&str], function: &Value| {
            let cli = Cli::try_parse_from(["sampan", "deploy", "f"].iter().chain(flags)).expect("valid");
            let Command::Deploy(args) = cli.command else { panic!("a deploy") };
            removal_note(&with_sources(*args).expect("no files"), function)
        };
        let variables =
            json!({"Variables": [{"Key": "MODE", "Value": "fast"}, {"Key": "PASSWORD", "Value": "{{secret:db}}"}]});
        let function = json!({ "Environment": variables });
        let said = note(&["--env", "MODE=slow"], &function).expect("one is removed");
        assert!(said.contains("removes PASSWORD:"), "{said}");
        let said = note(&["--secret", "PASSWORD=db"], &json!({"Serving": function})).expect("one is removed");
        assert!(said.contains("removes MODE:"), "{said}");
        assert_eq!(note(&["--env", "MODE=slow", "--secret", "PASSWORD=db"], &function), None);
        assert_eq!(note(&["--memory", "256"], &function), None, "they are kept");
        assert_eq!(note(&["--env", ""], &function), None, "asked for");
    }

    #[test]
    fn a_port_variable_without_the_port_is_noted() {
        let note = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["sampan", "deploy", "f"].iter().chain(flags)).expect("valid");
            let Command::Deploy(args) = cli.command else { panic!("a deploy") };
            port_note(&args)
        };
        assert!(note(&["--env", "PORT=8080"]).is_some_and(|note| note.contains("--port 8080 sets both")));
        assert!(note(&["--env", "PORT=8080", "--port", "9000"]).is_some());
        assert_eq!(note(&["--env", "PORT=8080", "--port", "8080"]), None);
        assert_eq!(note(&["--env", "PORTS=8080"]), None);
    }
}
