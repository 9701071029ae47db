//! `sampan logs`: what invocations printed, oldest first, and with `--follow` what comes.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::{Connection, LogsArgs, Output};
use crate::client::Client;
use crate::output;

/// Time between two questions while following.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// Invocations asked for at once while following.
const FOLLOW_PAGE_LEN: u32 = 200;
/// Invocations remembered as printed while following; far more than come between two questions.
const PRINTED_MAX: usize = 20_000;

/// Prints the logs.
pub async fn run(connection: &Connection, args: LogsArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let mut printed = HashSet::new();
    let mut limit = args.limit;
    loop {
        let mut invocations = ask(&client, &args, limit).await?;
        // The newest are asked for, and read from the oldest on.
        invocations.reverse();
        for invocation in invocations {
            let finished = invocation.get("InvokeFinished").and_then(Value::as_i64) == Some(1);
            let id = invocation.get("RequestId").and_then(Value::as_str).unwrap_or_default().to_owned();
            if (finished || !args.follow) && !printed.contains(&id) {
                print(&invocation, format)?;
                printed.insert(id);
            }
        }
        if !args.follow {
            return Ok(());
        }
        if printed.len() > PRINTED_MAX {
            printed.clear();
        }
        limit = FOLLOW_PAGE_LEN;
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

async fn ask(client: &Client, args: &LogsArgs, limit: u32) -> anyhow::Result<Vec<Value>> {
    let mut request = Map::new();
    request.insert("FunctionName".to_owned(), args.name.as_str().into());
    request.insert("Namespace".to_owned(), args.namespace.as_str().into());
    request.insert("Limit".to_owned(), limit.into());
    request.insert("Order".to_owned(), "desc".into());
    request.insert("OrderBy".to_owned(), "start_time".into());
    if let Some(id) = &args.request_id {
        request.insert("FunctionRequestId".to_owned(), id.as_str().into());
    }
    if args.failed {
        request.insert("Filter".to_owned(), json!({"RetCode": "not0"}));
    }
    let answer = client.call("GetFunctionLogs", &Value::Object(request)).await?;
    Ok(answer.get("Data").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn print(invocation: &Value, format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(invocation);
    }
    let log = invocation.get("Log").and_then(Value::as_str).unwrap_or_default();
    println!("{}", log.trim_end());
    Ok(())
}
