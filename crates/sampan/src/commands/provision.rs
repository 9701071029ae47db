//! `sampan provision`: instances of a published version that are kept ready.

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::provision::ProvisionArgs;
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output;

/// Carries out the command.
pub async fn run(connection: &Connection, args: ProvisionArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let (function, version) = match args.name.split_once(':') {
        Some((function, version)) => (function, Some(version)),
        None => (args.name.as_str(), None),
    };
    let mut named = json!({"FunctionName": function, "Namespace": args.namespace});
    if let Some(version) = version {
        named["Qualifier"] = version.into();
    }
    let sets = args.off || args.number.is_some() || args.utilization.is_some() || !args.at.is_empty();
    if sets && version.is_none() {
        let problem = format!("{function}: name a published version, such as {function}:1");
        return Err(Failure::new(Exit::Usage, problem, "").into());
    }
    if args.off {
        client.call("DeleteProvisionedConcurrencyConfig", &named).await?;
    } else if sets {
        client.call("PutProvisionedConcurrencyConfig", &wanted(&named, &args)).await?;
    }
    let answer = client.call("GetProvisionedConcurrencyConfig", &named).await?;
    show(&answer, function, format)
}

fn wanted(named: &Value, args: &ProvisionArgs) -> Value {
    let mut request = named.clone();
    request["VersionProvisionedConcurrencyNum"] = args.number.unwrap_or(0).into();
    if let Some(share) = args.utilization {
        request["ProvisionedType"] = "ConcurrencyUtilizationTracking".into();
        request["TrackingTarget"] = share.into();
        request["MinCapacity"] = args.min.unwrap_or(1).into();
        request["MaxCapacity"] = json!(args.max);
    }
    let action = |(index, at): (usize, &crate::args::provision::At)| {
        let name = format!("action-{}", index + 1);
        json!({"TriggerName": name, "TriggerProvisionedConcurrencyNum": at.number, "TriggerCronConfig": at.cron})
    };
    request["TriggerActions"] = args.at.iter().enumerate().map(action).collect();
    request
}

fn show(answer: &Value, function: &str, format: Output) -> anyhow::Result<()> {
    let allocated = answer.get("Allocated").and_then(Value::as_array).context("the answer has no Allocated")?;
    if format == Output::Json {
        return output::json(&json!({"function": function, "provisioned": allocated}));
    }
    if allocated.is_empty() {
        println!("nothing of {function} is kept ready");
        return Ok(());
    }
    let text = |of: &Value, name: &str| match of.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let row = |of: &Value| {
        let bounds = match (of.get("MinCapacity"), of.get("MaxCapacity")) {
            (Some(min), Some(max)) => format!("{min} to {max} at {}", text(of, "TrackingTarget")),
            _ => String::new(),
        };
        let actions = of.get("TriggerActions").and_then(Value::as_array).map_or(0, Vec::len);
        let wanted = text(of, "AllocatedProvisionedConcurrencyNum");
        let ready = text(of, "AvailableProvisionedConcurrencyNum");
        let status = text(of, "Status");
        vec![text(of, "Qualifier"), wanted, ready, status, bounds, actions.to_string(), text(of, "StatusReason")]
    };
    let rows: Vec<Vec<String>> = allocated.iter().map(row).collect();
    output::table(&["VERSION", "WANTED", "READY", "STATUS", "BOUNDS", "ACTIONS", "REASON"], &rows);
    Ok(())
}
