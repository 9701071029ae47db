//! `sampan delete`: deletes a function with all its versions and waits until that is done.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::{Connection, NameArgs, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output;

/// Timeout until the name is free again.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Deletes the function.
pub async fn run(connection: &Connection, args: NameArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let name = json!({"FunctionName": args.name, "Namespace": args.namespace});
    client.call("DeleteFunction", &name).await?;
    let deadline = Instant::now() + GONE_TIMEOUT;
    loop {
        match client.call("GetFunction", &name).await {
            Err(error) if is_gone(&error) => break,
            Err(error) => return Err(error),
            Ok(_) if Instant::now() > deadline => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("function {} is still being deleted after {} s", args.name, GONE_TIMEOUT.as_secs()),
                    "Look at `sampan get` and the platform's log.",
                )
                .into());
            }
            Ok(_) => tokio::time::sleep(POLL_INTERVAL).await,
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

fn is_gone(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Failure>().and_then(Failure::api_code);
    code.is_some_and(|code| code.starts_with("ResourceNotFound"))
}
