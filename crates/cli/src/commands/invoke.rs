//! `sampan invoke`: one call. Event functions are called through the API, web functions through the
//! gateway.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use types::limits::JOB_PORT;
use types::{ErrorCode, RunStatus};

use crate::args::{Connection, InvokeArgs, Output};
use crate::client::Client;
use crate::commands::{events, invoke_async, logs};
use crate::failure::{Exit, Failure};
use crate::terminal::Escaper;
use crate::{output, print};

/// Newest lines of the log printed by `--log`.
const LOG_LINES: i64 = 100;

/// Calls the function and prints its answer, or prints a retained result.
pub async fn run(connection: &Connection, args: InvokeArgs, format: Output) -> anyhow::Result<()> {
    if let Some(id) = &args.result {
        return kept_result(&Client::new(connection)?, &args, id, format).await;
    }
    let (name, qualifier) = target(args.name.as_deref().unwrap_or_default())?;
    let client = Client::new(connection)?;
    let version = if qualifier.starts_with("$DEFAULT") { "$LATEST" } else { qualifier };
    let query = json!({"FunctionName": name, "Namespace": args.namespace, "Qualifier": version});
    let function = client.call("GetFunction", &query).await?;
    let is_web = function.get("Type").and_then(Value::as_str) == Some("HTTP");
    let answers_with_id = is_job(&function) || function["AsyncRunEnable"] == "TRUE";
    check_flags(&args, name, is_web)?;
    let data = args.data.as_deref().map(read_data).transpose()?;
    if is_web {
        web(&client, &args, name, qualifier, data, format).await
    } else {
        event(&client, &args, (name, qualifier), data, answers_with_id, format).await
    }
}

/// The function's name and the qualifier.
fn target(name: &str) -> anyhow::Result<(&str, &str)> {
    match name.split_once(':') {
        None if !name.is_empty() => Ok((name, "$DEFAULT")),
        Some((function, qualifier)) if !function.is_empty() && !qualifier.is_empty() => Ok((function, qualifier)),
        Some((function, "")) if !function.is_empty() => {
            let message = format!("{name:?} has no qualifier after the colon");
            let hint = format!("Write {function}, or a version or alias as in {function}:1.");
            Err(Failure::new(Exit::Usage, message, hint).into())
        }
        _ => Err(Failure::new(Exit::Usage, format!("{name:?} names no function"), "`sampan list` shows all.").into()),
    }
}

/// Whether a function's image is a job.
pub(super) fn is_job(function: &Value) -> bool {
    function.pointer("/ImageConfig/ImagePort").and_then(Value::as_i64) == Some(i64::from(JOB_PORT))
}

/// Refuses flags that mean nothing for a function of this type.
fn check_flags(args: &InvokeArgs, name: &str, is_web: bool) -> anyhow::Result<()> {
    let of_web =
        [("--path", args.path.is_some()), ("--method", args.method.is_some()), ("--header", !args.header.is_empty())];
    let (kind, other, flags) = match is_web {
        true => ("web", "event", &[("--log", args.log)][..]),
        false => ("event", "web", &of_web[..]),
    };
    let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    let message = format!("{flag} is for {other} functions, and {name} is a function of type {kind}");
    Err(Failure::new(Exit::Usage, message, "Leave it out.").into())
}

fn read_data(data: &str) -> anyhow::Result<Vec<u8>> {
    if data == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    match data.strip_prefix('@') {
        Some(file) if !Path::new(file).exists() => {
            let message = format!("there is no file {file}");
            Err(Failure::new(Exit::NotFound, message, "`--data @FILE` reads a file.").into())
        }
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
        None => Ok(data.as_bytes().to_vec()),
    }
}

async fn event(
    client: &Client,
    args: &InvokeArgs,
    (name, qualifier): (&str, &str),
    data: Option<Vec<u8>>,
    answers_with_id: bool,
    format: Output,
) -> anyhow::Result<()> {
    let event = String::from_utf8(data.unwrap_or_else(|| b"{}".to_vec()));
    let event = event.map_err(|_| Failure::new(Exit::Usage, "the event is not text in UTF-8", "An event is JSON."))?;
    if args.asynchronous {
        return accept(client, args, name, qualifier, event, format).await;
    }
    if answers_with_id && args.log {
        let message = format!("--log is for calls that wait for their end, and a call of {name} does not");
        let hint = format!("Leave it out; `sampan logs {name} -f` follows its log.");
        return Err(Failure::new(Exit::Usage, message, hint).into());
    }
    let request = json!({
        "FunctionName": name, "Namespace": args.namespace, "Qualifier": qualifier, "Event": event,
        "LogType": if args.log && format == Output::Json { "Tail" } else { "None" },
    });
    let answer = client.call("InvokeFunction", &request).await.map_err(|error| goes_on(error, name))?;
    let result = answer.get("Result").cloned().unwrap_or_default();
    let id = result.get("FunctionRequestId").and_then(Value::as_str).unwrap_or_default();
    if answers_with_id {
        return accepted(id, format);
    }
    if args.log && format == Output::Text {
        logs::of_request(client, name, &args.namespace, id, LOG_LINES).await?;
    }
    show(&result, args, format)?;
    outcome(&result, &format!("`sampan logs {name} --request-id {id}` has its log."))
}

/// Has an event accepted, and prints its id.
async fn accept(
    client: &Client,
    args: &InvokeArgs,
    name: &str,
    qualifier: &str,
    event: String,
    format: Output,
) -> anyhow::Result<()> {
    let request = json!({
        "FunctionName": name, "Namespace": args.namespace, "Qualifier": qualifier, "ClientContext": event,
        "InvocationType": "Event",
    });
    let answer = client.call("Invoke", &request).await?;
    accepted(answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default(), format)
}

/// Prints the id of an event that was accepted.
fn accepted(id: &str, format: Output) -> anyhow::Result<()> {
    match format {
        Output::Json => output::json(&json!({"id": id}))?,
        Output::Text => println!("{id}"),
    }
    Ok(())
}

/// Prints the result of an invocation that outlived its caller.
async fn kept_result(client: &Client, args: &InvokeArgs, id: &str, format: Output) -> anyhow::Result<()> {
    let request = json!({"Namespace": args.namespace, "FunctionRequestId": id});
    let answer = client.call_extension("GetInvocationResult", &request).await?;
    let result = answer.get("Result").cloned().unwrap_or_default();
    show(&result, args, format)?;
    outcome(&result, &format!("`sampan logs FUNCTION --request-id {id}` has its log."))?;
    events::check_whole(&answer, result["RetMsg"].as_str().unwrap_or_default(), id)
}

/// Adds to an error how to get the result of an invocation that is still running.
fn goes_on(error: anyhow::Error, name: &str) -> anyhow::Error {
    let failure = Failure::of(&error);
    match (failure.api_code(), failure.request_id()) {
        (Some(code), Some(id)) if code == ErrorCode::FAILED_INVOKE_FUNCTION.name => {
            let hint = format!(
                "`sampan invoke --result {id}` prints its answer when it has ended; `sampan logs {name} -f \
                 --request-id {id}` shows what it prints."
            );
            failure.with_hint(hint).into()
        }
        _ => error,
    }
}

fn show(result: &Value, args: &InvokeArgs, format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(result);
    }
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    match args.raw {
        true => print::bytes(format!("{}\n", text("RetMsg")).as_bytes()),
        false => println!("{}", text("RetMsg")),
    }
    let number = |name: &str| result.get(name).and_then(Value::as_f64).unwrap_or_default();
    let memory_mb = number("MemUsage") / 1_048_576.0;
    eprintln!("{} {:.2} ms, {memory_mb:.1} MB", text("FunctionRequestId"), number("Duration"));
    Ok(())
}

/// Checks the outcome; a failed invocation fails the command.
fn outcome(result: &Value, hint: &str) -> anyhow::Result<()> {
    if result.get("InvokeResult").and_then(Value::as_i64) == Some(0) {
        return Ok(());
    }
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let failure = Failure::new(Exit::RunFailed, format!("the invocation failed: {}", text("ErrMsg")), hint);
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
    let path = args.path.as_deref().unwrap_or_default().trim_start_matches('/');
    let qualifier = if qualifier == "$DEFAULT" { String::new() } else { format!(":{qualifier}") };
    let below = if args.asynchronous { "async" } else { "fn" };
    let url = format!("{gateway}/{below}/{}/{name}{qualifier}/{path}", args.namespace);
    let method = args.method.clone().unwrap_or(if data.is_some() { Method::POST } else { Method::GET });
    let mut request = client.http().request(method, url);
    for header in &args.header {
        request = request.header(&header.name, &header.value);
    }
    if args.asynchronous {
        return invoke_async::accept(client, request.body(data.unwrap_or_default()), format).await;
    }
    let started = Instant::now();
    let request = request.body(data.unwrap_or_default()).build().context("the call cannot be made")?;
    let mut answer = send(client, request).await?;
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
            let body = answer.text().await.context("the answer was truncated")?;
            output::json(
                &json!({"status": status.as_u16(), "request_id": request_id, "headers": headers, "body": body}),
            )?;
        }
        Output::Text => {
            let mut escaper = is_escaped(args.raw, answer.headers()).then(Escaper::default);
            while let Some(chunk) = answer.chunk().await.context("the answer was truncated")? {
                match &mut escaper {
                    Some(escaper) => print::bytes(escaper.push(&chunk).as_bytes()),
                    None => print::bytes(&chunk),
                }
            }
            print::bytes(escaper.unwrap_or_default().finish().as_bytes());
            eprintln!(
                "\n{}, {request_id}, {:.2} ms",
                named(status, &run_status),
                started.elapsed().as_secs_f64() * 1000.0
            );
        }
    }
    // The platform marks its own answers; a status set by the function is not a failure.
    if run_status.is_empty() || run_status == "200" {
        return Ok(());
    }
    let hint = format!("`sampan logs {name} --request-id {request_id}` has its log.");
    let failure =
        Failure::new(Exit::RunFailed, format!("the invocation failed with status {}", run_named(&run_status)), hint);
    Err(failure.with_request_id(request_id).into())
}

/// Calls a function; signs the call where the gateway refused it unsigned, which the function has
/// not seen then.
async fn send(client: &Client, request: reqwest::Request) -> anyhow::Result<reqwest::Response> {
    let again = request.try_clone().filter(|request| !request.headers().contains_key(AUTHORIZATION));
    let unreachable = "the gateway cannot be reached";
    let answer = client.http().execute(request).await.context(unreachable)?;
    match again {
        Some(request) if wants_signature(answer.status(), answer.headers()) => {
            let request = invoke_async::signed(request, client.key_pair())?;
            client.http().execute(request).await.context(unreachable)
        }
        _ => Ok(answer),
    }
}

/// Whether an answer is the gateway's refusal of an unsigned call. Functions cannot answer so: the
/// gateway alone sets the status header.
fn wants_signature(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        && headers.get("x-scf-status").is_some_and(|status| !status.is_empty())
        && headers.get(WWW_AUTHENTICATE).is_some_and(|scheme| scheme == "TC3-HMAC-SHA256")
}

/// Whether to print the body of an answer through [`terminal::escaped`]: always on a terminal, and
/// text anywhere. Binary content for a file or a program is unchanged.
fn is_escaped(raw: bool, headers: &HeaderMap) -> bool {
    !raw && (std::io::stdout().is_terminal() || is_text(headers))
}

/// Whether an answer's content type is text or missing.
fn is_text(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named = ["json", "xml", "javascript", "yaml", "x-www-form-urlencoded", "x-ndjson"];
    let (main, sub) = media_type.split_once('/').unwrap_or_default();
    let text = main.is_empty()
        || main == "text"
        || named.iter().any(|name| sub == *name || sub.ends_with(&format!("+{name}")));
    text && matches!(header("content-encoding"), "" | "identity")
}

/// A status with its reason: the contract's for a failed invocation, otherwise HTTP's.
fn named(status: StatusCode, run_status: &str) -> String {
    match status.canonical_reason().filter(|_| status.as_str() != run_status) {
        Some(phrase) => format!("{} {phrase}", status.as_u16()),
        None => format!("{} {}", status.as_u16(), RunStatus::reason_phrase(status.as_u16())),
    }
}

/// A status code with its name in the contract.
fn run_named(status: &str) -> String {
    status.parse().map_or_else(|_| status.to_owned(), |code| format!("{status} {}", RunStatus::reason_phrase(code)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn binary_content_is_not_escaped() {
        let text = |media_type: &str, coding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", media_type.parse().expect("valid"));
            headers.insert("content-encoding", coding.parse().expect("valid"));
            is_text(&headers)
        };
        for media_type in
            ["", "text/html; charset=utf-8", "application/json", "application/problem+json", "image/svg+xml"]
        {
            assert!(text(media_type, ""), "{media_type}");
        }
        for media_type in ["application/octet-stream", "image/png", "application/zip"] {
            assert!(!text(media_type, ""), "{media_type}");
        }
        assert!(!text("text/plain", "gzip"));
    }

    #[test]
    fn a_target_has_a_name_and_no_empty_qualifier() {
        assert_eq!(target("web").expect("a name"), ("web", "$DEFAULT"));
        assert_eq!(target("web:prod").expect("both"), ("web", "prod"));
        for (wrong, wanted) in [("web:", "\"web:\" has no qualifier"), ("", "names no"), (":1", "names no")] {
            let refused = Failure::of(&target(wrong).expect_err(wrong));
            assert_eq!(refused.exit(), Exit::Usage, "{wrong:?}");
            assert!(refused.to_string().contains(wanted), "{refused}");
        }
    }

    #[test]
    fn flags_of_the_other_type_are_refused() {
        let args = |line: &[&str]| match Cli::try_parse_from(["sampan", "invoke", "f"].iter().chain(line)) {
            Ok(Cli { command: Command::Invoke(args), .. }) => args,
            _ => panic!("{line:?} is a command line"),
        };
        for (line, web, event) in [
            (&[][..], true, true),
            (&["--data", "{}"], true, true),
            (&["--path", "/"], true, false),
            (&["-X", "PUT"], true, false),
            (&["-H", "a: b"], true, false),
            (&["--log"], false, true),
            (&["--async"], true, true),
        ] {
            let is_taken = [true, false].map(|is_web| check_flags(&args(line), "f", is_web).is_ok());
            assert_eq!(is_taken, [web, event], "{line:?}");
        }
    }

    #[test]
    fn statuses_are_shown_with_their_names() {
        let http = |code| StatusCode::from_u16(code).expect("a status");
        assert_eq!(named(http(200), ""), "200 OK");
        assert_eq!(named(http(404), "435"), "404 Not Found");
        assert_eq!(named(http(438), "438"), "438 FunctionStatusError");
        assert_eq!(named(http(406), "406"), "406 RequestTooLarge");
        assert_eq!(run_named("435"), "435 FunctionNotFound");
    }
}
