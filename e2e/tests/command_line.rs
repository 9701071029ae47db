//! What the command line does with pipes, words and errors.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::process::Stdio;

use anyhow::Context;
use e2e::tools;
use serde_json::Value;
use tokio::process::Command;

/// A command that needs no platform.
fn sampan(args: &[&str]) -> Command {
    let mut command = tools::command(&tools::sampan().display().to_string());
    command.args(args);
    command
}

#[tokio::test]
async fn a_reader_that_goes_ends_the_command_quietly() -> anyhow::Result<()> {
    for args in [&["config"][..], &["config", "--output", "json"], &["--help"], &["deploy", "--help"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let done = sampan(args).stdout(writer).stderr(Stdio::piped()).spawn()?.wait_with_output().await?;
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.is_empty(), "{args:?} said {said}");
        assert!(matches!(done.status.code(), Some(0 | 141)), "{args:?} ended with {}", done.status);
    }
    Ok(())
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error() -> anyhow::Result<()> {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let done = sampan(&["config"]).stdout(full).stderr(Stdio::piped()).spawn()?.wait_with_output().await?;
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot write to standard output: No space left on device"), "{said}");
    Ok(())
}

#[tokio::test]
async fn errors_are_json_where_json_is_asked_for() -> anyhow::Result<()> {
    let nowhere = ["--credentials", "/nowhere/credentials.toml"];
    for (args, code, exit) in [(&["list"][..], "Connection", 5), (&["deploy"], "Usage", 2), (&["nonsense"], "Usage", 2)]
    {
        let done = sampan(args).args(nowhere).args(["--output", "json"]).output().await?;
        assert_eq!(done.status.code(), Some(exit), "{args:?}");
        assert!(done.stdout.is_empty(), "{args:?}");
        let said: Value = serde_json::from_slice(&done.stderr)
            .with_context(|| format!("{args:?} said {}", String::from_utf8_lossy(&done.stderr)))?;
        assert_eq!((&said["code"], &said["exit_code"]), (&code.into(), &exit.into()), "{said}");
        assert!(said["message"].as_str().is_some_and(|message| !message.is_empty()), "{said}");
        assert!(said["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{said}");
    }
    Ok(())
}
