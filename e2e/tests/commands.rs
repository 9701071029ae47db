//! The client commands in interactive use and in scripts.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools};
use serde_json::json;

#[tokio::test]
async fn a_function_is_pushed_deployed_called_listed_shown_and_deleted() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let folder = e2e::images::hello_folder()?;
    let dir = folder.path().display().to_string();
    let push = ["push", "--from-dir", &dir, "--entrypoint", "/hello", "hello:v1"];
    platform.cli_json(&push).await?;
    let again = platform.cli_json(&push).await?;
    assert_eq!(again["sent_bytes"], 0, "the same folder pushed again sends nothing: {again}");
    assert_eq!(again["notes"], json!([]), "{again}");
    let deployed = platform.deploy("web", "hello:v1", &["--env", "COLOUR=red", "--memory", "256"]).await?;
    assert_eq!(deployed["status"], "Active", "{deployed}");
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;

    let called = platform.cli_json(&["invoke", "web", "--path", "/env?COLOUR"]).await?;
    assert_eq!((&called["status"], &called["body"]), (&json!(200), &json!("red")), "{called}");
    let called = platform.cli_json(&["invoke", "event", "--data", r#"{"a":1}"#, "--log"]).await?;
    assert!(called["RetMsg"].as_str().is_some_and(|m| m.contains(r#""a":1"#)), "{called}");
    let failed = tools::run(&mut platform.cli(&["invoke", "event", "--data", r#"{"route":"exit?3"}"#])).await?;
    assert!(!failed.ok && failed.stderr.contains("hint: "), "{}", failed.stderr);

    let listed = tools::run_ok(&mut platform.cli(&["list"])).await?;
    assert!(listed.contains("web") && listed.contains("event") && listed.contains("Active"), "{listed}");
    let shown = tools::run_ok(&mut platform.cli(&["get", "web"])).await?;
    assert!(shown.contains("@sha256:") && shown.contains("COLOUR=red"), "{shown}");
    let logs = tools::run_ok(&mut platform.cli(&["logs", "event"])).await?;
    assert!(logs.contains("START RequestId") && logs.contains("POST /event-invoke"), "{logs}");

    // Another deploy with one flag changes only that setting.
    platform.cli_json(&["deploy", "web", "--timeout", "7"]).await?;
    let shown = platform.cli_json(&["get", "web"]).await?;
    assert_eq!((&shown["Timeout"], &shown["MemorySize"]), (&json!(7), &json!(256)), "{shown}");

    for name in ["web", "event"] {
        tools::run_ok(&mut platform.cli(&["delete", name])).await?;
    }
    let gone = tools::run(&mut platform.cli(&["get", "web"])).await?;
    assert!(!gone.ok && gone.stderr.contains("ResourceNotFound.Function"), "{}", gone.stderr);
    platform.stop().await
}

#[tokio::test]
async fn notes_of_a_push_are_in_its_json_document() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let folder = e2e::images::hello_folder()?;
    tools::run_ok(tools::command("mkfifo").arg(folder.path().join("pipe"))).await?;
    let dir = folder.path().display().to_string();
    let push = ["push", "--from-dir", &dir, "--entrypoint", "/hello", "hello:v1"];
    let said = tools::run(&mut platform.cli(&push)).await?;
    assert!(said.ok && said.stderr.contains("note: sockets, fifos and devices"), "{}", said.stderr);
    let said = tools::run(platform.cli(&push).args(["--output", "json"])).await?;
    assert!(said.ok && said.stderr.is_empty(), "{}", said.stderr);
    let document: serde_json::Value = serde_json::from_str(&said.stdout)?;
    let note = document["notes"][0].as_str().unwrap_or_default();
    assert!(note.contains("fifos") && note.contains("pipe"), "{document}");
    platform.stop().await
}

#[tokio::test]
async fn a_wrong_command_line_is_refused_with_a_hint() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (args, want) in [
        (vec!["push", "/nowhere.tar", "hello:v1"], "/nowhere.tar"),
        (vec!["push", "--from-dir", "/nowhere", "--entrypoint", "/x", "hello:v1"], "/nowhere"),
        (vec!["deploy", "fresh"], "--image"),
        (vec!["deploy", "fresh", "--image", "UPPER:v1"], "UPPER"),
        (vec!["deploy", "fresh", "--image", "hello:v1", "--env", "NOPE"], "NOPE"),
        (vec!["deploy", "x", "--image", "hello:v1"], "x"),
        (vec!["deploy", "fresh", "--image", "hello:v1", "--memory", "100"], "100"),
        (vec!["invoke", "nobody"], "nobody"),
        (vec!["logs", "nobody"], "nobody"),
        (vec!["delete", "nobody"], "nobody"),
    ] {
        let said = tools::run(&mut platform.cli(&args)).await?;
        assert!(!said.ok, "{args:?} was taken: {}", said.stdout);
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(want), "{args:?}: {}", said.stderr);
    }
    platform.stop().await
}
