//! `sampan invoke`: calls event functions through the API and web functions through the gateway.

mod web;

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use types::ErrorCode;
use types::limits::JOB_PORT;

use crate::args::{Connection, InvokeArgs, Output};
use crate::client::Client;
use crate::commands::{events, logs};
use crate::failure::{Exit, Failure};
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
    let data = args.data.as_deref().map(|data| read_data(data, std::io::stdin())).transpose()?;
    if is_web {
        web::call(&client, &args, (name, qualifier), data, format).await
    } else {
        event(&client, &args, (name, qualifier), data, answers_with_id, format).await
    }
}

/// Splits a target into function name and qualifier.
fn target(name: &str) -> anyhow::Result<(&str, &str)> {
    match name.split_once(':') {
        None if !name.is_empty() => Ok((name, "$DEFAULT")),
        Some((function, qualifier)) if !function.is_empty() && !qualifier.is_empty() => Ok((function, qualifier)),
        Some((function, "")) if !function.is_empty() => {
            let message = format!("{name:?} has no qualifier after the colon");
            let hint = format!("Write {function}, or a version or alias as in {function}:1.");
            Err(Failure::new(Exit::Usage, message, hint).into())
        }
        _ => {
            Err(Failure::new(Exit::Usage, format!("{name:?} is not a function name"), "`sampan list` shows all.")
                .into())
        }
    }
}

/// Whether a function is a job.
pub(super) fn is_job(function: &Value) -> bool {
    function.pointer("/ImageConfig/ImagePort").and_then(Value::as_i64) == Some(i64::from(JOB_PORT))
}

/// Rejects flags that have no effect for a function of this type.
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

/// The text itself, or what `@FILE` or standard input holds.
fn read_data(data: &str, mut stdin: impl Read) -> anyhow::Result<Vec<u8>> {
    // `@-` is curl's spelling.
    if matches!(data, "-" | "@-") {
        let mut bytes = Vec::new();
        stdin.read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    match data.strip_prefix('@') {
        Some(file) if !Path::new(file).exists() => {
            let message = format!("file {file} does not exist");
            Err(Failure::new(Exit::NotFound, message, "`--data @FILE` reads a file.").into())
        }
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
        None => Ok(data.as_bytes().to_vec()),
    }
}

/// Rejects an event that is not JSON; the API names its own field.
pub(super) fn check_event(event: &str) -> anyhow::Result<()> {
    if event.is_empty() {
        return Ok(());
    }
    let refused = |error| {
        let hint = r#"Write the event as JSON, such as '{"key": 1}' or '"a text"'."#;
        Failure::new(Exit::Usage, format!("--data is not JSON: {error}"), hint)
    };
    let checked: Result<IgnoredAny, _> = serde_json::from_str(event);
    checked.map(drop).map_err(|error| refused(error).into())
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
    check_event(&event)?;
    if args.asynchronous {
        return accept(client, args, name, qualifier, event, format).await;
    }
    if answers_with_id && args.log {
        let message = format!("--log is for synchronous calls, and calls of {name} are asynchronous");
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

/// Queues an event and prints its id.
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

/// Prints the id of an accepted event.
fn accepted(id: &str, format: Output) -> anyhow::Result<()> {
    match format {
        Output::Json => output::json(&json!({"id": id}))?,
        Output::Text => println!("{id}"),
    }
    Ok(())
}

/// Prints the retained result of an invocation that outlived its caller.
async fn kept_result(client: &Client, args: &InvokeArgs, id: &str, format: Output) -> anyhow::Result<()> {
    let request = json!({"Namespace": args.namespace, "FunctionRequestId": id});
    let answer = client.call_extension("GetInvocationResult", &request).await?;
    let result = answer.get("Result").cloned().unwrap_or_default();
    show(&result, args, format)?;
    outcome(&result, &format!("`sampan logs FUNCTION --request-id {id}` has its log."))?;
    events::check_whole(&answer, result["RetMsg"].as_str().unwrap_or_default(), id)
}

/// Adds a hint to the error of a call whose invocation is still running: how to get its result.
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

/// Fails the command if the invocation failed.
fn outcome(result: &Value, hint: &str) -> anyhow::Result<()> {
    if result.get("InvokeResult").and_then(Value::as_i64) == Some(0) {
        return Ok(());
    }
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let failure = Failure::new(Exit::RunFailed, format!("the invocation failed: {}", text("ErrMsg")), hint);
    Err(failure.with_request_id(text("FunctionRequestId")).into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn a_target_has_a_name_and_no_empty_qualifier() {
        assert_eq!(target("web").expect("a name"), ("web", "$DEFAULT"));
        assert_eq!(target("web:prod").expect("both"), ("web", "prod"));
        for (wrong, wanted) in
            [("web:", "\"web:\" has no qualifier"), ("", "not a function name"), (":1", "not a function name")]
        {
            let refused = Failure::of(&target(wrong).expect_err(wrong));
            assert_eq!(refused.exit(), Exit::Usage, "{wrong:?}");
            assert!(refused.to_string().contains(wanted), "{refused}");
        }
    }

    #[test]
    fn data_is_a_text_a_file_or_standard_input() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("-");
        std::fs::write(&path, "from a file").expect("written");
        let file = format!("@{}", path.display());
        for (data, want) in
            [("{}", "{}"), ("", ""), ("-", "piped"), ("@-", "piped"), (file.as_str(), "from a file"), ("-1", "-1")]
        {
            assert_eq!(read_data(data, &b"piped"[..]).expect(data), want.as_bytes(), "{data}");
        }
        let missing = Failure::of(&read_data(&format!("{file}none"), &b""[..]).expect_err("no such file"));
        assert_eq!(missing.exit(), Exit::NotFound);
    }

    #[test]
    fn an_event_that_is_not_json_names_its_flag() {
        for event in ["", "{}", "\"a\"", " [1] "] {
            assert!(check_event(event).is_ok(), "{event:?}");
        }
        for event in ["not json", "{", "{} {}"] {
            let refused = Failure::of(&check_event(event).expect_err(event));
            assert_eq!(refused.exit(), Exit::Usage, "{event:?}");
            assert!(refused.to_string().starts_with("--data is not JSON: "), "{refused}");
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
}
