//! `sampan provision`: provisioned concurrency of a published version.

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::provision::{At, ProvisionArgs};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output;

/// `ProvisionedType` of target tracking.
const TRACKING: &str = "ConcurrencyUtilizationTracking";

/// Runs the command.
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
    let sets = args.off || args.number.is_some() || args.utilization.is_some() || !args.at.is_empty() || args.no_at;
    if sets && version.is_none() {
        let problem = format!("{function}: name a published version, such as {function}:1");
        return Err(Failure::new(Exit::Usage, problem, "").into());
    }
    if args.off {
        client.call("DeleteProvisionedConcurrencyConfig", &named).await?;
    } else if sets {
        let kept = client.call("GetProvisionedConcurrencyConfig", &named).await?;
        let kept = kept.pointer("/Allocated/0").cloned().unwrap_or_default();
        client.call("PutProvisionedConcurrencyConfig", &wanted(&named, &args, &kept)).await?;
    }
    let answer = client.call("GetProvisionedConcurrencyConfig", &named).await?;
    show(&answer, function, format)
}

/// Builds the whole configuration; settings without a flag are taken from `kept`.
fn wanted(named: &Value, args: &ProvisionArgs, kept: &Value) -> Value {
    let mut request = named.clone();
    let tracked = kept.get("TrackingTarget").is_some();
    if let Some(share) = args.utilization {
        let min = args.min.map(Value::from).or_else(|| kept.get("MinCapacity").cloned());
        request["ProvisionedType"] = TRACKING.into();
        request["TrackingTarget"] = share.into();
        request["MinCapacity"] = min.unwrap_or_else(|| 1.into());
        request["MaxCapacity"] = json!(args.max);
    } else if args.number.is_none() && tracked {
        for field in ["ProvisionedType", "TrackingTarget", "MinCapacity", "MaxCapacity"] {
            request[field] = kept[field].clone();
        }
    }
    let tracks = request.get("ProvisionedType").is_some();
    let kept_number = kept.get("AllocatedProvisionedConcurrencyNum").and_then(Value::as_u64).unwrap_or(0);
    let number = args.number.map_or(kept_number, u64::from);
    request["VersionProvisionedConcurrencyNum"] = if tracks { 0 } else { number }.into();
    request["TriggerActions"] = if args.at.is_empty() && !args.no_at {
        kept.get("TriggerActions").cloned().unwrap_or_else(|| json!([]))
    } else {
        args.at.iter().enumerate().map(action).collect()
    };
    request
}

fn action((index, at): (usize, &At)) -> Value {
    let name = format!("action-{}", index + 1);
    json!({"TriggerName": name, "TriggerProvisionedConcurrencyNum": at.number, "TriggerCronConfig": at.cron})
}

fn show(answer: &Value, function: &str, format: Output) -> anyhow::Result<()> {
    let allocated = answer.get("Allocated").and_then(Value::as_array).context("the answer has no Allocated")?;
    if format == Output::Json {
        return output::json(&json!({"function": function, "provisioned": allocated}));
    }
    if allocated.is_empty() {
        println!("{function} has no provisioned concurrency");
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn said(flags: &[&str], kept: &Value) -> Value {
        let cli = Cli::try_parse_from(["sampan", "provision", "f:1"].iter().chain(flags)).expect("valid");
        let Command::Provision(args) = cli.command else { panic!("a provision") };
        wanted(&json!({"FunctionName": "f"}), &args, kept)
    }

    #[test]
    fn settings_without_flags_are_kept() {
        let actions = json!([{"TriggerName": "a", "TriggerProvisionedConcurrencyNum": 4, "TriggerCronConfig": "c"}]);
        let fixed = json!({"AllocatedProvisionedConcurrencyNum": 2, "TriggerActions": actions});
        let number = said(&["--number", "3"], &fixed);
        assert_eq!(number["VersionProvisionedConcurrencyNum"], 3);
        assert_eq!(number["TriggerActions"], actions);
        let times = said(&["--at", "0 0 9 * * * *=5"], &fixed);
        assert_eq!(times["VersionProvisionedConcurrencyNum"], 2);
        assert_eq!(times["TriggerActions"][0]["TriggerProvisionedConcurrencyNum"], 5);
        assert_eq!(said(&["--no-at"], &fixed)["TriggerActions"], json!([]));
    }

    #[test]
    fn bounds_are_kept_until_a_number_replaces_them() {
        let tracked = json!({
            "AllocatedProvisionedConcurrencyNum": 3, "TriggerActions": [], "ProvisionedType": TRACKING,
            "TrackingTarget": 0.5, "MinCapacity": 2, "MaxCapacity": 4,
        });
        let times = said(&["--at", "0 0 9 * * * *=5"], &tracked);
        assert_eq!((&times["ProvisionedType"], &times["MaxCapacity"]), (&json!(TRACKING), &json!(4)));
        assert_eq!(times["VersionProvisionedConcurrencyNum"], 0);
        assert_eq!(said(&["--utilization", "0.7", "--max", "9"], &tracked)["MinCapacity"], 2);
        let number = said(&["--number", "1"], &tracked);
        assert_eq!((number.get("ProvisionedType"), &number["VersionProvisionedConcurrencyNum"]), (None, &json!(1)));
    }
}
