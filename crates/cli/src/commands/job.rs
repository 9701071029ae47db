//! `sampan job run`: runs an image once, in a temporary function. The platform deletes the function
//! when it has no more runs, so that a client that disconnects leaves nothing behind.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Map, Value, json};
use types::limits::JOB_PORT;
use types::tags::TEMPORARY;
use types::wire::{GetLogLinesRequest, LogLine};
use types::{RequestId, RunStatus};

use super::deploy::{self, code};
use super::invoke::check_event;
use super::logs::{self, FOLLOW_INTERVAL, FOLLOW_LINES_MAX};
use crate::args::job::{JobArgs, JobCommand, JobRunArgs};
use crate::args::size::Megabytes;
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::env_file;
use crate::failure::{Exit, Failure};
use crate::image_name::resolve;
use crate::{client, output, print, terminal};

/// Polling interval while the function is being prepared.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Idle time after which the platform deletes the function, in seconds: with a client that waits,
/// and with one that reads the log later.
const WAITED_FOR_S: u32 = 60;
const DETACHED_S: u32 = 3600;
/// Exit codes for ends without a code: a timeout as in timeout(1), and signals as in shells.
const TIMED_OUT: u8 = 124;
const SIGNALLED: u8 = 128;

/// Runs the command.
pub async fn run(connection: &Connection, args: JobArgs, format: Output) -> anyhow::Result<()> {
    let JobCommand::Run(mut args) = args.command;
    args.env = env_file::merged(&std::mem::take(&mut args.env_file), args.env)?;
    args.extras.place_secrets(&mut args.env);
    check_event(&args.data)?;
    let client = Client::new(connection)?;
    let id = RequestId::random().to_string().replace('-', "");
    let name = format!("job-{}", &id[..12]);
    client.call("CreateFunction", &creation(&client, &name, &args)?).await?;
    let done = run_in(&client, &name, &args, format).await;
    if args.wait && !args.keep || done.is_err() && !args.wait {
        let function = json!({"FunctionName": name, "Namespace": args.namespace});
        // If this fails, the platform deletes it later.
        client.call("DeleteFunction", &function).await.ok();
    }
    done
}

fn creation(client: &Client, name: &str, args: &JobRunArgs) -> anyhow::Result<Value> {
    let mut image = Map::new();
    image.insert("ImageType".to_owned(), "personal".into());
    image.insert("ImageUri".to_owned(), resolve(&args.image, Some(client.registry()))?.to_string().into());
    image.insert("ImagePort".to_owned(), JOB_PORT.into());
    code::set_argv(&mut image, "Command", args.command.as_ref());
    if !args.words.is_empty() {
        image.insert("ArgsList".to_owned(), args.words.clone().into());
    }
    let variables = deploy::variables(&args.env)?;
    let mut request = json!({
        "FunctionName": name, "Namespace": args.namespace, "Type": "Event", "AsyncRunEnable": "TRUE",
        "Timeout": args.timeout, "Code": {"ImageConfig": image}, "Environment": {"Variables": variables},
        "Description": format!("sampan job run {}", args.image),
    });
    if let Some(Megabytes(memory)) = args.memory {
        request["MemorySize"] = memory.into();
    }
    if let Some(extras) = args.extras.object() {
        request["Sampan"] = extras;
    }
    if !args.keep {
        let seconds = if args.wait { WAITED_FOR_S } else { DETACHED_S };
        request["Tags"] = json!([{"Key": TEMPORARY, "Value": seconds.to_string()}]);
    }
    Ok(request)
}

async fn run_in(client: &Client, name: &str, args: &JobRunArgs, format: Output) -> anyhow::Result<()> {
    prepared(client, name, args, format).await?;
    let ids = invoked(client, name, args).await?;
    announce(name, args, &ids, format)?;
    if !args.wait {
        return Ok(());
    }
    let mut failed = Vec::new();
    for id in &ids {
        let mut status = follow(client, name, args, id, format).await?;
        if format == Output::Json {
            status["id"] = id.as_str().into();
            output::json(&status)?;
        }
        if let Err(failure) = outcome(&status, id) {
            failed.push(failure);
        }
    }
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(()),
        Some(only) if ids.len() == 1 => Err(only),
        Some(first) => Err(first.context(format!("{count} of {} jobs failed; the first of them", ids.len()))),
    }
}

/// Queues the event `count` times, and returns the ids of the runs.
async fn invoked(client: &Client, name: &str, args: &JobRunArgs) -> anyhow::Result<Vec<String>> {
    let mut request = json!({"FunctionName": name, "Namespace": args.namespace, "ClientContext": args.data});
    let Some(count) = args.count else {
        let answer = client.call("Invoke", &request).await?;
        return Ok(vec![answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned()]);
    };
    request["Count"] = count.into();
    let answer = client.call_extension("InvokeArray", &request).await?;
    let ids = answer["FunctionRequestIds"].as_array().cloned().unwrap_or_default();
    Ok(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
}

/// Prints the ids of the runs, on standard error when the command waits; of detached ones also
/// how to follow them.
fn announce(name: &str, args: &JobRunArgs, ids: &[String], format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return match ids {
            [id] if args.count.is_none() => output::json(&json!({"id": id, "function": name})),
            ids => output::json(&json!({"ids": ids, "function": name})),
        };
    }
    if args.wait {
        // Standard output is the job's.
        ids.iter().for_each(|id| eprintln!("{id}"));
        return Ok(());
    }
    ids.iter().for_each(|id| println!("{id}"));
    let id = ids.first().map_or("ID", String::as_str);
    eprintln!("`sampan logs {name} -f --request-id {id}` follows it; `sampan events wait {id}` waits for it");
    Ok(())
}

/// Waits until the image is prepared.
async fn prepared(client: &Client, name: &str, args: &JobRunArgs, format: Output) -> anyhow::Result<()> {
    let spinner = output::spinner(format, format!("preparing {}", args.image));
    let function = json!({"FunctionName": name, "Namespace": args.namespace});
    loop {
        let function = client.call("GetFunction", &function).await?;
        if deploy::is_pending(&function) {
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        }
        spinner.finish_and_clear();
        if function["Status"] == "Active" {
            return Ok(());
        }
        let reason = |field: &str| function["StatusReasons"][0][field].as_str().unwrap_or_default().to_owned();
        let message =
            format!("image {} cannot be run: {}: {}", args.image, reason("ErrorCode"), reason("ErrorMessage"));
        let exit = if reason("ErrorCode") == "ImageNotFound" { Exit::NotFound } else { Exit::Failed };
        return Err(Failure::new(exit, message, "").into());
    }
}

/// Prints the output of the run as it arrives, and returns its final state once all lines are
/// printed.
async fn follow(client: &Client, name: &str, args: &JobRunArgs, id: &str, format: Output) -> anyhow::Result<Value> {
    let mut request = GetLogLinesRequest {
        function_name: Some(name.to_owned()),
        namespace: Some(args.namespace.clone()),
        function_request_id: Some(id.to_owned()),
        limit: Some(FOLLOW_LINES_MAX),
        ..GetLogLinesRequest::default()
    };
    loop {
        // Read before the lines: once the state is final, all lines are stored.
        let status = status(client, id).await?;
        loop {
            let page = logs::query_until_reachable(client, &request).await?;
            for line in &page.lines {
                show(line, format)?;
            }
            request.after = Some(page.next);
            if !page.more {
                break;
            }
        }
        if status["Status"] != "RUNNING" {
            return Ok(status);
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

/// Reads the state of the run; retries while the platform is unreachable, as during a restart.
async fn status(client: &Client, id: &str) -> anyhow::Result<Value> {
    loop {
        match client.call("GetAsyncEventStatus", &json!({"InvokeRequestId": id})).await {
            Err(error) if client::is_away(&error) => tokio::time::sleep(FOLLOW_INTERVAL).await,
            answered => return Ok(answered?["Result"].clone()),
        }
    }
}

/// Prints a line of the job to the stream that the job used; skips platform lines.
fn show(line: &LogLine, format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(&logs::document(line));
    }
    let text = |is_terminal: bool| match is_terminal {
        true => terminal::line(&line.text).into_owned(),
        false => line.text.clone(),
    };
    match line.stream.as_str() {
        "stdout" => print::bytes(format!("{}\n", text(std::io::stdout().is_terminal())).as_bytes()),
        "stderr" => eprintln!("{}", text(std::io::stderr().is_terminal())),
        _ => {}
    }
    Ok(())
}

/// Result of the command, with the job's exit code (docs/EXIT_CODES.md).
fn outcome(status: &Value, id: &str) -> anyhow::Result<()> {
    if status["Status"] == "FINISHED" {
        return Ok(());
    }
    let why = status["ErrorMessage"].as_str().unwrap_or("it was terminated");
    let failure = Failure::new(Exit::RunFailed, format!("the job failed: {why}"), "").with_request_id(id);
    Err(match exit_code(status) {
        Some(code) => failure.with_exit_code(code).into(),
        None => failure.into(),
    })
}

/// Exit code of a job that failed by itself.
fn exit_code(status: &Value) -> Option<u8> {
    if status["OutOfMemory"] == true {
        return Some(SIGNALLED + 9);
    }
    if status["StatusCode"] == RunStatus::TimeLimitReached.code() {
        return Some(TIMED_OUT);
    }
    let number = |name: &str| status[name].as_i64().and_then(|number| u8::try_from(number).ok());
    // A job that the platform aborted has not ended by itself, whatever its code.
    let by_itself = status["StatusCode"] != RunStatus::InternalError.code();
    let code = number("ExitCode").or_else(|| number("ExitSignal").and_then(|signal| SIGNALLED.checked_add(signal)));
    code.filter(|_| by_itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_as_its_job_did() {
        for (status, code) in [
            (json!({"StatusCode": 439, "ExitCode": 3, "OutOfMemory": false}), Some(3)),
            (json!({"StatusCode": 439, "ExitSignal": 11, "OutOfMemory": false}), Some(139)),
            (json!({"StatusCode": 434, "ExitSignal": 9, "OutOfMemory": true}), Some(137)),
            (json!({"StatusCode": 434, "ExitCode": 1, "OutOfMemory": true}), Some(137)),
            (json!({"StatusCode": 433}), Some(124)),
            (json!({"StatusCode": 500, "ExitSignal": 15, "OutOfMemory": false}), None),
            (json!({"StatusCode": 445}), None),
        ] {
            assert_eq!(exit_code(&status), code, "{status}");
        }
    }
}
