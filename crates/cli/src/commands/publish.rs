//! `sampan publish`: publishes the serving state of a function as a version, waits until it is
//! active, and points an alias to it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::release::PublishArgs;
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::commands::alias;
use crate::failure::{Exit, Failure};
use crate::output;

/// Polling interval while a version is being published.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Publishes the function.
pub async fn run(connection: &Connection, args: PublishArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let request = json!({
        "FunctionName": args.name, "Namespace": args.namespace,
        "Description": args.description.as_deref().unwrap_or_default(),
    });
    let published = client.call("PublishVersion", &request).await?;
    let version = published.get("FunctionVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    wait_active(&client, &args, &version).await?;
    if let Some(name) = &args.alias {
        point_alias(&client, &args, name, &version).await?;
    }
    match format {
        Output::Json => output::json(&json!({
            "function": args.name, "namespace": args.namespace, "version": version, "status": "Active",
            "alias": args.alias,
        })),
        Output::Text => {
            println!("published version {version} of {}", args.name);
            if let Some(name) = &args.alias {
                println!("alias {name} points to version {version}");
            }
            Ok(())
        }
    }
}

async fn wait_active(client: &Client, args: &PublishArgs, version: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(args.wait_timeout);
    let query = json!({"FunctionName": args.name, "Namespace": args.namespace, "Qualifier": version});
    loop {
        let found = client.call("GetFunction", &query).await?;
        let status = found.get("Status").and_then(Value::as_str).unwrap_or_default();
        match status {
            "Active" => return Ok(()),
            "Publishing" if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
            _ => {
                let reason = found.pointer("/StatusReasons/0/ErrorMessage").and_then(Value::as_str);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let message = format!("version {version} of {} is {status}{reason}", args.name);
                return Err(Failure::new(Exit::Failed, message, "Fix the cause and publish again.").into());
            }
        }
    }
}

/// Points the alias to the version; creates the alias if necessary.
async fn point_alias(client: &Client, args: &PublishArgs, name: &str, version: &str) -> anyhow::Result<()> {
    let request = json!({
        "FunctionName": args.name, "Namespace": args.namespace, "Name": name, "FunctionVersion": version,
    });
    match client.call("UpdateAlias", &request).await {
        Err(error) if alias::is_unknown(&error) => client.call("CreateAlias", &request).await.map(drop),
        changed => changed.map(drop),
    }
}
