//! Output of functions in `sampan logs` and official clients: complete, streamed, and never
//! mistaken for platform lines.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::process::Stdio;

use anyhow::Context;
use e2e::{Platform, printer, tools, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A platform with the printer as web functions `many`, with ten concurrent requests, and `one`,
/// with one.
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

/// Log lines as JSON documents, once one contains `text`.
async fn documents(platform: &Platform, function: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    wait::until(&format!("{text:?} is in the log of {function}"), || async {
        let said = logs(platform, &[function, "--output", "json"]).await?;
        let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(lines.iter().any(|line| line["text"] == text).then_some(lines))
    })
    .await
}

#[tokio::test]
async fn all_output_is_shown_exactly_once_at_any_concurrency() -> anyhow::Result<()> {
    let platform = with_printers().await?;
    for (function, path) in [("many", "/"), ("many", "/later"), ("one", "/"), ("one", "/later")] {
        for number in 0..5 {
            let text = format!("{function}{path} {number}");
            printer::print(&platform, function, path, format!("{text}\n").as_bytes()).await?;
            let lines = documents(&platform, function, &text).await?;
            assert_eq!(lines.iter().filter(|line| line["text"] == text.as_str()).count(), 1, "{lines:?}");
        }
    }
    // Lines outside requests belong to their instance; the text form shows the beginning of its id.
    let said = logs(&platform, &["many"]).await?;
    let line = said.lines().find(|line| line.ends_with("many/ 3")).context("the line is shown")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words[0].parse::<jiff::Timestamp>().is_ok(), "the time has a zone: {line}");
    assert!(words[1] == "stdout" && words[2].starts_with("i-"), "{line}");
    let of_instance = logs(&platform, &["many", "--instance", words[2]]).await?;
    assert!(of_instance.contains("many/later 4") && !of_instance.contains("START RequestId"), "{of_instance}");
    // A time range excludes older and newer lines, to the millisecond.
    let (before, after) = (
        logs(&platform, &["many", "--until", words[0]]).await?,
        logs(&platform, &["many", "--since", words[0]]).await?,
    );
    assert!(before.contains("many/ 3") && before.contains("many/ 0") && !before.contains("many/later 0"), "{before}");
    assert!(after.contains("many/ 3") && after.contains("many/later 4") && !after.contains("many/ 2"), "{after}");
    assert_eq!(logs(&platform, &["many", "--since", "1h"]).await?, said);
    assert_eq!(logs(&platform, &["many", "--until", "1h"]).await?, "");
    // `--limit` counts lines.
    assert_eq!(logs(&platform, &["many", "--limit", "3"]).await?.lines().count(), 3);
    assert!(said.lines().count() > 15, "{said}");
    platform.stop().await
}

#[tokio::test]
async fn official_clients_get_output_outside_requests_by_instance() -> anyhow::Result<()> {
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
async fn logs_of_a_running_invocation_are_followed() -> anyhow::Result<()> {
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

/// The number of lines whose text begins so.
fn count(lines: &[Value], beginning: &str) -> usize {
    lines.iter().filter(|line| line["text"].as_str().is_some_and(|text| text.starts_with(beginning))).count()
}

#[tokio::test]
async fn lines_of_overlapping_requests_are_in_the_order_of_their_times() -> anyhow::Result<()> {
    const SHORT: usize = 8;
    // The log is written when it is read, so that ends of short requests are written with their
    // beginnings, before what others did meanwhile.
    let platform = Platform::start_with(&[("SAMPAN_LOGS__FLUSH_MS", "3600000")]).await?;
    printer::push(&platform).await?;
    platform.deploy("many", "printer:v1", &["--concurrency", "10", "--timeout", "60"]).await?;
    let held = tokio::spawn(platform.http.post(platform.url("many", "/hold")).body("held\n").send());
    documents(&platform, "many", "held").await?;
    let short = |_| printer::print(&platform, "many", "/", b"short\n");
    futures_util::future::try_join_all((0..SHORT).map(short)).await?;
    held.abort();
    let lines = wait::until("all requests have ended", || async {
        let said = logs(&platform, &["many", "--output", "json"]).await?;
        let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok((count(&lines, "END ") == SHORT + 1 && count(&lines, "short") == SHORT).then_some(lines))
    })
    .await?;
    let times = lines.iter().map(|line| line["time"].as_str()?.parse::<jiff::Timestamp>().ok());
    let times: Vec<_> = times.collect::<Option<_>>().context("each line has its time")?;
    assert!(times.is_sorted(), "{lines:?}");
    // Each line of the platform names its request; the long one's stand around the others.
    let long = &lines.iter().find(|line| count(&[(*line).clone()], "START ") == 1).context("it began")?["request_id"];
    let of_long = |line: &Value| line["request_id"] == *long;
    let first = lines.iter().position(of_long).context("it has lines")?;
    let last = lines.iter().rposition(of_long).context("it has lines")?;
    let within = &lines[first..=last];
    assert!(count(within, "START ") == SHORT + 1 && count(within, "END ") > 1, "{lines:?}");

    // A follower shows the same from the first line on.
    let mut follower =
        platform.cli(&["logs", "many", "--follow", "--output", "json"]).stdout(Stdio::piped()).spawn()?;
    let mut shown = BufReader::new(follower.stdout.take().context("the output is piped")?).lines();
    let mut followed: Vec<Value> = Vec::new();
    while followed.len() < lines.len() {
        let next = tokio::time::timeout(wait::WAIT_MAX, shown.next_line()).await??;
        followed.push(serde_json::from_str(&next.context("it goes on")?)?);
    }
    follower.kill().await?;
    assert_eq!(followed, lines);
    platform.stop().await
}

/// Terminal control sequences, and a forged platform line.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\rSTART RequestId:forged\u{202e}";
const HOSTILE_SHOWN: &str = "\\x1b[2J\\x1b]0;title\\x07\\x9b31m\\rSTART RequestId:forged\\u{202e}";

/// Whether a terminal would interpret part of the text.
fn acts(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

#[tokio::test]
async fn output_of_functions_cannot_control_a_terminal() -> anyhow::Result<()> {
    let platform = with_printers().await?;
    platform.deploy("event", "printer:v1", &["--type", "event"]).await?;
    printer::print(&platform, "many", "/", format!("{HOSTILE}\n").as_bytes()).await?;
    documents(&platform, "many", HOSTILE).await?;
    let said = logs(&platform, &["many"]).await?;
    let forged = said.lines().find(|line| line.contains("RequestId:forged")).context("it is shown")?;
    assert!(forged.contains(" stdout ") && forged.ends_with(HOSTILE_SHOWN) && !acts(&said), "{said}");
    let platforms = said.lines().filter(|line| line.contains("START RequestId") && line.contains(" platform "));
    assert_eq!(platforms.count(), 1, "{said}");
    assert!(logs(&platform, &["many", "--raw"]).await?.contains(HOSTILE), "--raw keeps it");
    let json = logs(&platform, &["many", "--output", "json"]).await?;
    assert!(!acts(&json), "{json}");

    let invoke = ["invoke", "many", "--path", "/answer", "--data", HOSTILE];
    let said = tools::run(&mut platform.cli(&invoke)).await?;
    assert!(said.stdout.starts_with(HOSTILE_SHOWN) && !acts(&said.stdout) && !acts(&said.stderr), "{said:?}");
    let raw = tools::run_ok(platform.cli(&invoke).arg("--raw")).await?;
    assert!(raw.starts_with(HOSTILE), "{raw:?}");
    let body = platform.cli_json(&invoke).await?;
    assert_eq!(body["body"], HOSTILE);
    let binary = ["invoke", "many", "--path", "/binary", "--data", HOSTILE];
    assert!(tools::run_ok(&mut platform.cli(&binary)).await?.starts_with(HOSTILE), "a file gets what is no text");

    // The log in a response also distinguishes the streams.
    let event = json!({"print": "START RequestId:forged"}).to_string();
    let said = tools::run(&mut platform.cli(&["invoke", "event", "--log", "--data", &event])).await?;
    assert!(said.stderr.lines().any(|l| l.contains(" stdout ") && l.contains("RequestId:forged")), "{said:?}");
    assert!(said.stderr.lines().any(|l| l.contains(" platform ") && l.contains("START RequestId:")), "{said:?}");
    platform.stop().await
}

#[tokio::test]
async fn results_of_asynchronous_invocations_are_retained() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_API__INVOKE_WAIT_S_MAX", "1")]).await?;
    printer::push(&platform).await?;
    platform.deploy("event", "printer:v1", &["--type", "event", "--timeout", "60"]).await?;
    let event = json!({"ms": 4_000, "bytes": 6_000_000}).to_string();
    let left = tools::run(&mut platform.cli(&["invoke", "event", "--data", &event])).await?;
    let hint = left.stderr.split_once("`sampan invoke --result ").context("the hint names the command")?.1;
    let id = hint.split('`').next().context("it ends")?.to_owned();
    assert!(!left.ok && left.stderr.contains("goes on as"), "{}", left.stderr);
    let early = tools::run(&mut platform.cli(&["invoke", "--result", &id])).await?;
    assert!(!early.ok && early.stderr.contains("has not ended yet"), "{}", early.stderr);
    let result = |platform: &Platform| {
        let mut command = platform.cli(&["invoke", "--result", &id, "--output", "json"]);
        async move {
            let said = tools::run(&mut command).await?;
            Ok(said.ok.then(|| serde_json::from_str::<Value>(&said.stdout)).transpose()?)
        }
    };
    let kept = wait::until("the run has ended", || result(&platform)).await?;
    assert_eq!((kept["RetMsg"].as_str().map(str::len), &kept["InvokeResult"]), (Some(6_000_000), &json!(0)));
    assert!(kept["Duration"].as_f64().is_some_and(|ms| ms >= 4_000.0), "{}", kept["Duration"]);
    assert_eq!(platform.api.log_of("event", &id).await?["RetCode"], 0);
    let mut platform = platform;
    platform.kill().await?;
    let platform = platform.restart().await?;
    assert_eq!(result(&platform).await?.context("it is there after a crash, too")?, kept);

    // A result that its caller received is not retained.
    let answered = platform.cli_json(&["invoke", "event", "--data", "{\"bytes\":3}"]).await?;
    let id = answered["FunctionRequestId"].as_str().unwrap_or_default();
    let unknown = "0b9ab8d2-7a53-4b8e-9d1f-1a2b3c4d5e6f";
    for (id, said) in [(id, "its caller got it"), (unknown, "is not in the log")] {
        let none = tools::output(&mut platform.cli(&["invoke", "--result", id])).await?;
        let stderr = String::from_utf8_lossy(&none.stderr);
        assert!(none.status.code() == Some(3) && stderr.contains(said), "{}: {stderr}", none.status);
    }
    platform.stop().await
}
