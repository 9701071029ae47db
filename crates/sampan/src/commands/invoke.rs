//! `sampan invoke`: one call. Event functions are called through the API, web functions through the gateway.

use std::io::Read;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::{Connection, InvokeArgs, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{output, print};

/// Calls the function and prints its answer.
pub async fn run(connection: &Connection, args: InvokeArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let (name, qualifier) = match args.name.split_once(':') {
        Some((name, qualifier)) => (name.to_owned(), qualifier.to_owned()),
        None => (args.name.clone(), "$DEFAULT".to_owned()),
    };
    let version = if qualifier.starts_with("$DEFAULT") { "$LATEST" } else { &qualifier };
    let query = json!({"FunctionName": name, "Namespace": args.namespace, "Qualifier": version});
    let function = client.call("GetFunction", &query).await?;
    let data = args.data.as_deref().map(read_data).transpose()?;
    if function.get("Type").and_then(Value::as_str) == Some("HTTP") {
        web(&client, &args, &name, &qualifier, data, format).await
    } else {
        event(&client, &args, &name, &qualifier, data, format).await
    }
}

fn read_data(data: &str) -> anyhow::Result<Vec<u8>> {
    if data == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    match data.strip_prefix('@') {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
        None => Ok(data.as_bytes().to_vec()),
    }
}

async fn event(
    client: &Client,
    args: &InvokeArgs,
    name: &str,
    qualifier: &str,
    data: Option<Vec<u8>>,
    format: Output,
) -> anyhow::Result<()> {
    let event = String::from_utf8(data.unwrap_or_else(|| b"{}".to_vec())).context("an event is JSON text")?;
    let request = json!({
        "FunctionName": name, "Namespace": args.namespace, "Qualifier": qualifier, "Event": event,
        "LogType": if args.log { "Tail" } else { "None" },
    });
    let answer = client.call("InvokeFunction", &request).await?;
    let result = answer.get("Result").cloned().unwrap_or_default();
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match format {
        Output::Json => output::json(&result)?,
        Output::Text => {
            println!("{}", text("RetMsg"));
            if args.log {
                eprintln!("{}", text("Log").trim_end());
            }
            let number = |name: &str| result.get(name).and_then(Value::as_f64).unwrap_or_default();
            let memory_mb = number("MemUsage") / 1_048_576.0;
            eprintln!("{} {:.2} ms, {memory_mb:.1} MB", text("FunctionRequestId"), number("Duration"));
        }
    }
    if result.get("InvokeResult").and_then(Value::as_i64) == Some(0) {
        return Ok(());
    }
    let hint = format!("`sampan logs {name} --request-id {}` has its log.", text("FunctionRequestId"));
    let failure = Failure::new(Exit::RunFailed, format!("the run failed: {}", text("ErrMsg")), hint);
    Err(failure.with_request_id(text("FunctionRequestId")).into())
}

async fn web(
    client: &Client,
    args: &InvokeArgs,
    name: &str,
    qualifier: &str,
    data: Option<Vec<u8>>,
    format: Output,
) -> anyhow::Result<()> {
    let gateway = client.health().await?.gateway;
    let path = args.path.trim_start_matches('/');
    let qualifier = if qualifier == "$DEFAULT" { String::new() } else { format!(":{qualifier}") };
    let url = format!("{gateway}/fn/{}/{name}{qualifier}/{path}", args.namespace);
    let method = args.method.as_deref().unwrap_or(if data.is_some() { "POST" } else { "GET" });
    let method = method.parse().with_context(|| format!("{method:?} is not an HTTP method"))?;
    let mut request = client.http().request(method, url);
    for header in &args.header {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::new(Exit::Usage, format!("--header {header:?} is not NAME: VALUE"), ""))?;
        request = request.header(name.trim(), value.trim());
    }
    let started = Instant::now();
    let mut answer = request.body(data.unwrap_or_default()).send().await.context("the gateway cannot be reached")?;
    let status = answer.status();
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (request_id, run_status) = (header("x-scf-request-id"), header("x-scf-status"));
    match format {
        Output::Json => {
            let headers: Vec<_> = answer
                .headers()
                .iter()
                .map(|(n, v)| json!([n.as_str(), String::from_utf8_lossy(v.as_bytes())]))
                .collect();
            let body = answer.text().await.context("the answer was cut short")?;
            output::json(
                &json!({"status": status.as_u16(), "request_id": request_id, "headers": headers, "body": body}),
            )?;
        }
        Output::Text => {
            while let Some(chunk) = answer.chunk().await.context("the answer was cut short")? {
                print::bytes(&chunk);
            }
            eprintln!("\n{status}, {request_id}, {:.2} ms", started.elapsed().as_secs_f64() * 1000.0);
        }
    }
    // The platform marks its own answers; a status that the function chose is the function's business.
    if run_status.is_empty() || run_status == "200" {
        return Ok(());
    }
    let hint = format!("`sampan logs {name} --request-id {request_id}` has its log.");
    let failure = Failure::new(Exit::RunFailed, format!("the run failed with status {run_status}"), hint);
    Err(failure.with_request_id(request_id).into())
}
