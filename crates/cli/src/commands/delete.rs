//! `sampan delete`: deletes a function with all its versions and waits for completion, or deletes
//! one published version.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::{Connection, DeleteArgs, Output};
use crate::client::Client;
use crate::commands::domain;
use crate::failure::{Exit, Failure};
use crate::output;

/// Longest wait until the name is free again.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
/// Prefix of the statuses of a function that is being deleted.
const DELETING: &str = "Delet";
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Deletes the function, or its version.
pub async fn run(connection: &Connection, args: DeleteArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.name.split_once(':') {
        None => {
            let domains = domain::of_function(&client, &args.namespace, &args.name).await?;
            gone(&client, &args.namespace, &args.name).await?;
            for domain in domains.iter().filter(|_| format == Output::Text) {
                eprintln!("note: routes of {domain} still lead to {}; `sampan domain update` changes them", args.name);
            }
        }
        Some((function, version)) => {
            let request = json!({"FunctionName": function, "Namespace": args.namespace, "Qualifier": version});
            client.call("DeleteFunctionVersion", &request).await?;
        }
    }
    match format {
        Output::Json => output::json(&json!({"deleted": args.name, "namespace": args.namespace})),
        Output::Text => {
            println!("deleted {}", args.name);
            Ok(())
        }
    }
}

/// Deletes a function and waits until its name is free again.
pub async fn gone(client: &Client, namespace: &str, function: &str) -> anyhow::Result<()> {
    let name = json!({"FunctionName": function, "Namespace": namespace});
    client.call("DeleteFunction", &name).await?;
    let deadline = Instant::now() + GONE_TIMEOUT;
    loop {
        match client.call("GetFunction", &name).await {
            Err(error) if Failure::is_not_found(&error) => return Ok(()),
            // Another function of that name was created meanwhile.
            Ok(found) if !found["Status"].as_str().is_some_and(|status| status.starts_with(DELETING)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) if Instant::now() > deadline => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("function {function} is still being deleted after {} s", GONE_TIMEOUT.as_secs()),
                    "Look at `sampan get` and the platform's log.",
                )
                .into());
            }
            Ok(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}
