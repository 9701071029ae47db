//! `sampan events`: lists, waits for, configures and terminates asynchronous events.

mod dead_letters;

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::args::events::{
    EventGetArgs, EventTerminateArgs, EventWaitArgs, EventsArgs, EventsCommand, EventsConfigArgs, EventsListArgs,
};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{local_time, output, print, terminal};

/// Shortest and longest polling interval; it doubles after each poll.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Runs the command.
pub async fn run(connection: &Connection, args: EventsArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        EventsCommand::List(args) => list(&client, args, format).await,
        EventsCommand::Get(args) => get(&client, &args, format).await,
        EventsCommand::Wait(args) => wait(&client, &args, format).await,
        EventsCommand::Config(args) => config(&client, &args, format).await,
        EventsCommand::Terminate(args) => terminate(&client, &args, format).await,
        EventsCommand::DeadLetters(args) => dead_letters::list(&client, args, format).await,
        EventsCommand::DeadLetter(args) => dead_letters::show(&client, &args, format).await,
        EventsCommand::Redrive(args) => dead_letters::redrive(&client, args, format).await,
        EventsCommand::Purge(args) => dead_letters::purge(&client, args, format).await,
    }
}

async fn list(client: &Client, args: EventsListArgs, format: Output) -> anyhow::Result<()> {
    let request = json!({
        "FunctionName": args.function, "Namespace": args.namespace, "Status": args.state, "Limit": args.limit,
        "Offset": args.offset,
    });
    let mut answer = client.call("ListAsyncEvents", &request).await?;
    client.localize(&mut answer).await?;
    if format == Output::Json {
        return output::json(&json!({"total": answer["TotalCount"], "events": answer["EventList"]}));
    }
    let text = |event: &Value, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let events = answer.get("EventList").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = ["InvokeRequestId", "Status", "InvokeType", "Qualifier", "StartTime", "EndTime"];
    let rows: Vec<Vec<String>> = events.iter().map(|event| columns.map(|name| text(event, name)).to_vec()).collect();
    output::table(&["ID", "STATE", "TYPE", "QUALIFIER", "ACCEPTED", "ENDED"], &rows);
    let (shown, total) = (rows.len(), answer["TotalCount"].as_u64().unwrap_or_default());
    if total > shown as u64 {
        eprintln!("{shown} of {total} events; --limit and --offset show others");
    }
    Ok(())
}

async fn status(client: &Client, id: &str) -> anyhow::Result<Value> {
    let answer = client.call("GetAsyncEventStatus", &json!({"InvokeRequestId": id})).await?;
    Ok(answer.get("Result").cloned().unwrap_or_default())
}

async fn get(client: &Client, args: &EventGetArgs, format: Output) -> anyhow::Result<()> {
    match args.result {
        true => result(client, &args.id, format).await,
        false => show(&status(client, &args.id).await?, format),
    }
}

/// Writes the result of an event; control characters are escaped on a terminal.
async fn result(client: &Client, id: &str, format: Output) -> anyhow::Result<()> {
    let answer = client.call_extension("GetInvocationResult", &json!({"FunctionRequestId": id})).await?;
    let result = answer.get("Result").cloned().unwrap_or_default();
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    match format {
        Output::Json => output::json(&answer)?,
        Output::Text if std::io::stdout().is_terminal() => println!("{}", text("RetMsg")),
        Output::Text => print::bytes(text("RetMsg").as_bytes()),
    }
    if result.get("InvokeResult").and_then(Value::as_i64) != Some(0) {
        let hint = format!("`sampan logs FUNCTION --request-id {id}` has its log.");
        let failure = Failure::new(Exit::RunFailed, format!("the event failed: {}", text("ErrMsg")), hint);
        return Err(failure.with_request_id(id).into());
    }
    check_whole(&answer, text("RetMsg"), id)
}

/// Returns an error for a retained result that was truncated.
pub(super) fn check_whole(answer: &Value, kept: &str, id: &str) -> anyhow::Result<()> {
    let Some(bytes) = answer.get("RetMsgBytes").and_then(Value::as_u64) else { return Ok(()) };
    let message = format!("the result has {bytes} bytes, of which {} are kept", kept.len());
    let hint = "Raise events.result_bytes_max for events that run from then on.";
    Err(Failure::new(Exit::Failed, message, hint).with_request_id(id).into())
}

async fn wait(client: &Client, args: &EventWaitArgs, format: Output) -> anyhow::Result<()> {
    let deadline = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.get()));
    let (mut pause, mut said) = (PAUSE_MIN, None);
    loop {
        let status = status(client, &args.id).await?;
        if let Some(retry) = retry(&status).filter(|retry| format == Output::Text && said.as_ref() != Some(retry)) {
            eprintln!("note: event {}{retry}", args.id);
            said = Some(retry);
        }
        if status["Status"] != "RUNNING" {
            show(&status, format)?;
            return outcome(&status, &args.id);
        }
        if deadline.is_some_and(|deadline| Instant::now() + pause > deadline) {
            let message = format!("event {} is still waiting or running", args.id);
            return Err(Failure::new(Exit::Failed, message, "Wait again, or longer with --timeout.").into());
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Sets the given options and shows the resulting configuration.
async fn config(client: &Client, args: &EventsConfigArgs, format: Output) -> anyhow::Result<()> {
    let EventsConfigArgs { function, namespace, retries, max_age } = args;
    let mut request = json!({"FunctionName": function, "Namespace": namespace});
    if retries.is_some() || max_age.is_some() {
        let mut config = json!({});
        if let Some(retries) = retries {
            config["RetryConfig"] = json!([{"RetryNum": retries}]);
        }
        if let Some(max_age) = max_age {
            config["MsgTTL"] = json!(max_age);
        }
        request["AsyncTriggerConfig"] = config;
        client.call("UpdateFunctionEventInvokeConfig", &request).await?;
    }
    let answer = client.call("GetFunctionEventInvokeConfig", &request).await?;
    let config = &answer["AsyncTriggerConfig"];
    let (retries, max_age_s) = (&config["RetryConfig"][0]["RetryNum"], &config["MsgTTL"]);
    match format {
        Output::Json => output::json(&json!({
            "function": function, "namespace": namespace, "retries": retries, "max_age_s": max_age_s,
        })),
        Output::Text => {
            println!("retries {retries}, maximum age {max_age_s} s");
            Ok(())
        }
    }
}

/// Terminates an event and shows its state, which stays running until the instance has ended.
async fn terminate(client: &Client, args: &EventTerminateArgs, format: Output) -> anyhow::Result<()> {
    let request = json!({"InvokeRequestId": args.id, "GraceShutdown": args.graceful});
    client.call_extension("TerminateEvent", &request).await?;
    show(&status(client, &args.id).await?, format)
}

fn show(status: &Value, format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(status);
    }
    let state = status.get("Status").and_then(Value::as_str).unwrap_or_default();
    let code = status.get("StatusCode").and_then(Value::as_u64).filter(|code| *code > 0);
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let runs = status.get("Attempts").and_then(Value::as_u64).filter(|runs| *runs > 1);
    let runs = runs.map(|runs| format!(" after {runs} runs")).unwrap_or_default();
    let why = status.get("ErrorMessage").and_then(Value::as_str).map(|why| format!(": {}", terminal::line(why)));
    println!("{state}{code}{runs}{}{}", why.unwrap_or_default(), retry(status).unwrap_or_default());
    Ok(())
}

/// Time of a waiting event's next attempt, and the error of the last one.
fn retry(status: &Value) -> Option<String> {
    let retry = status.get("Retry")?;
    let (code, next_ms) = (retry["StatusCode"].as_u64()?, retry["NextRunMs"].as_i64()?);
    let why = retry["ErrorMessage"].as_str().map(|why| format!(": {}", terminal::line(why)));
    let at = local_time::rfc3339_s(next_ms);
    Some(format!(", next attempt at {at} ({code}{})", why.unwrap_or_default()))
}

/// Fails the command unless the event finished, as for a failed invocation.
fn outcome(status: &Value, id: &str) -> anyhow::Result<()> {
    if status["Status"] == "FINISHED" {
        return Ok(());
    }
    let message = format!("event {id} ended as {}", status["Status"].as_str().unwrap_or_default());
    let hint = format!("`sampan logs FUNCTION --request-id {id}` has its log.");
    Err(Failure::new(Exit::RunFailed, message, hint).with_request_id(id).into())
}
