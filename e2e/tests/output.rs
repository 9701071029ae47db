//! What functions print, as `sampan logs` and official clients show it: all of it, as it comes, and never as anything else.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::process::Stdio;

use anyhow::Context;
use e2e::{Platform, printer, tools, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A platform with the printer as a web function `many` that serves ten requests at once, and `one` that serves one.
async fn with_printers() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    printer::push(&platform).await?;
    platform.deploy("many", "printer:v1", &["--concurrency", "10", "--timeout", "60"]).await?;
    platform.deploy("one", "printer:v1", &["--timeout", "60"]).await?;
    Ok(platform)
}

async fn logs(platform: &Platform, args: &[&str]) -> anyhow::Result<String> {
    tools::run_ok(platform.cli(&["logs"]).args(args)).await
}

/// The lines of the log as documents, once one has `text`.
async fn documents(platform: &Platform, function: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    wait::until(&format!("{text:?} is in the log of {function}"), || async {
        let said = logs(platform, &[function, "--output", "json"]).await?;
        let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(lines.iter().any(|line| line["text"] == text).then_some(lines))
    })
    .await
}

#[tokio::test]
async fn all_that_a_function_prints_is_shown_once_whatever_its_concurrency() -> anyhow::Result<()> {
    let platform = with_printers().await?;
    for (function, path) in [("many", "/"), ("many", "/later"), ("one", "/"), ("one", "/later")] {
        for number in 0..5 {
            let text = format!("{function}{path} {number}");
            printer::print(&platform, function, path, format!("{text}\n").as_bytes()).await?;
            let lines = documents(&platform, function, &text).await?;
            assert_eq!(lines.iter().filter(|line| line["text"] == text.as_str()).count(), 1, "{lines:?}");
        }
    }
    // Lines of no request stand under their instance, whose id the text form shows the beginning of.
    let said = logs(&platform, &["many"]).await?;
    let line = said.lines().find(|line| line.ends_with("many/ 3")).context("the line is shown")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words[0].parse::<jiff::Timestamp>().is_ok(), "the time has a zone: {line}");
    assert!(words[1] == "stdout" && words[2].starts_with("i-"), "{line}");
    let of_instance = logs(&platform, &["many", "--instance", words[2]]).await?;
    assert!(of_instance.contains("many/later 4") && !of_instance.contains("START RequestId"), "{of_instance}");
    // A limit is one of lines.
    assert_eq!(logs(&platform, &["many", "--limit", "3"]).await?.lines().count(), 3);
    assert!(said.lines().count() > 15, "{said}");
    platform.stop().await
}

#[tokio::test]
async fn official_clients_find_output_outside_requests_by_instance_and_runs_are_counted_as_ever() -> anyhow::Result<()>
{
    let platform = with_printers().await?;
    printer::print(&platform, "many", "/", b"for official clients\n").await?;
    let lines = documents(&platform, "many", "for official clients").await?;
    let printed = lines.iter().find(|line| line["text"] == "for official clients").context("it is there")?;
    let ask = |more: Value| {
        let mut request = json!({"FunctionName": "many"});
        request.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let api = platform.api.clone();
        async move { api.call("GetFunctionLogs", request).await }
    };
    let runs = ask(json!({})).await?;
    assert_eq!(runs["TotalCount"], 1, "{runs}");
    for question in [json!({"SearchContext": {"Type": "Instance"}}), json!({"FunctionRequestId": printed["instance"]})]
    {
        let found = ask(question).await?;
        assert_eq!(
            (&found["TotalCount"], &found["Data"][0]["RequestId"]),
            (&json!(1), &printed["instance"]),
            "{found}"
        );
        assert_eq!(found["Data"][0]["Log"], "for official clients\n", "{found}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_call_that_runs_is_followed() -> anyhow::Result<()> {
    let platform = with_printers().await?;
    for function in ["many", "one"] {
        printer::print(&platform, function, "/", b"before\n").await?;
        let mut follower = platform.cli(&["logs", function, "--follow"]).stdout(Stdio::piped()).spawn()?;
        let mut shown = BufReader::new(follower.stdout.take().context("the output is piped")?).lines();
        let call = platform.http.post(platform.url(function, "/hold")).body("while it runs\n").send();
        let call = tokio::spawn(call);
        let seen = tokio::time::timeout(wait::WAIT_MAX, async {
            while let Some(line) = shown.next_line().await? {
                if line.ends_with("while it runs") {
                    return anyhow::Ok(true);
                }
            }
            Ok(false)
        });
        assert!(seen.await?? && !call.is_finished(), "{function} is shown while it runs");
        call.abort();
        follower.kill().await?;
    }
    platform.stop().await
}
